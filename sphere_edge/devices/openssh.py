"""A device reached by the installed OpenSSH client: one login, then all over its control socket."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from sphere_edge import errors
from sphere_edge.devices.device import (
    STALL_S,
    Ask,
    Process,
    Stream,
    connection_refused,
)
from sphere_edge.devices.remote_shell import ProgramOutput, RemoteLine
from sphere_edge.devices.shell_device import CHUNK_BYTES, EXIT_S, ShellDevice, seconds_left
from sphere_edge.devices.ssh_config import SshHost
from sphere_edge.devices.ssh_master import Master, log_in
from sphere_edge.devices.ssh_mux import Control, RefusedError

# A program may take this long to end after its stdin has.
_CLOSE_S = 5.0
_LOST = (OSError, EOFError)


class OpenSshDevice(ShellDevice):
    """See ShellDevice."""

    def __init__(self, uri: str, host: SshHost, ask: Ask | None = None) -> None:
        self.uri = uri
        self._host = host
        self._ask = ask
        self._master: Master | None = log_in(self._host, uri, ask)

    def start(self, argv: Sequence[str]) -> Process:
        """See Device.start."""
        line = RemoteLine(argv)
        with self._translated():
            session = self._session(line.text)
        # Nobody reads what it complains of; a full stream would stop it.
        threading.Thread(target=_discard, args=(session.stderr,), daemon=True).start()
        return _OpenSshProcess(session, line, self.uri)

    def connect(self, port: int) -> Stream:
        """See Device.connect."""
        with self._translated():
            control = self._control()
            # Two, as `ssh` closes each direction by itself.
            (up, upper), (down, lower) = socket.socketpair(), socket.socketpair()
            stream = _ForwardedStream(control, up, down)
            with upper, lower:
                try:
                    control.open_stream(port, (upper, lower), self._host.connect_timeout_s)
                except BaseException as error:
                    stream.close()
                    if isinstance(error, RefusedError):
                        raise self._refused_stream(port) from error
                    raise
        return stream

    def reconnect(self) -> None:
        """See Device.reconnect."""
        self.close()
        self._master = log_in(self._host, self.uri, self._ask)

    def close(self) -> None:
        """See Device.close."""
        if self._master is not None:
            self._master.close()
            self._master = None

    def _refused_stream(self, port: int) -> errors.SphereEdgeError:
        # The control socket's answer has no reason; `ssh` printed it.
        last = self._master.printed.strip().splitlines()[-1:] if self._master is not None else []
        if "administratively prohibited" in "".join(last):
            return self._no_forwarding()
        return connection_refused(self.uri, port)

    def _control(self) -> Control:
        if self._master is None:
            message = f"{self.uri} is closed"
            raise errors.UnavailableError(message)
        return Control(self._master.path)

    def _session(self, line: str) -> _Session:
        control = self._control()
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)
        session = _Session(control, *ours)
        try:
            control.open_session(line, theirs, self._host.connect_timeout_s)
        except RefusedError as error:
            session.close()
            message = f"{self.uri} starts no program: {error}"
            raise errors.UnavailableError(message) from error
        except BaseException:
            session.close()
            raise
        finally:
            for one in theirs:
                one.close()
        return session

    def _exchange(
        self, argv: Sequence[str], stdin: Iterator[bytes], deadline: float | None = None
    ) -> tuple[int, str, str]:
        def left() -> float:
            return seconds_left(deadline)

        line = RemoteLine(argv)
        stdout, stderr = ProgramOutput(line, self.uri), ProgramOutput(line, self.uri)
        with self._translated(finite=deadline is not None):
            session = self._session(line.text)
            try:
                session.exchange(stdin, stdout.add, stderr.add, left)
                code = session.control.exit_code(left())
            finally:
                session.close()
        return self._ended(code, stdout, stderr)

    @contextmanager
    def _translated(self, *, finite: bool = True) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            if finite and self._is_connected():
                message = f"{self.uri} did not finish in time"
                raise errors.TimeoutError(message) from error
            message = f"lost the connection to {self.uri}: nothing moves"
            raise errors.UnavailableError(message) from error
        except _LOST as error:
            message = f"lost the connection to {self.uri}: {error or type(error).__name__}"
            raise errors.UnavailableError(message) from error

    def _is_connected(self) -> bool:
        try:
            self._control().close()
        except (*_LOST, errors.UnavailableError):
            return False
        return True


class _Session:
    """A program there, and our ends of its streams."""

    def __init__(
        self,
        control: Control,
        stdin: socket.socket,
        stdout: socket.socket,
        stderr: socket.socket,
    ) -> None:
        self.control = control
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr

    def exchange(
        self,
        pieces: Iterator[bytes],
        stdout: Callable[[bytes], object],
        stderr: Callable[[bytes], object],
        left: Callable[[], float],
    ) -> None:
        """Feeds it `pieces` and reads both streams to their ends, all at once.

        Raises TimeoutError (`left()` seconds passed without a byte), StorageError (`pieces`).
        """
        self.stdin.setblocking(False)
        pending = memoryview(b"")
        with selectors.DefaultSelector() as selector:
            selector.register(self.stdin, selectors.EVENT_WRITE)
            selector.register(self.stdout, selectors.EVENT_READ, stdout)
            selector.register(self.stderr, selectors.EVENT_READ, stderr)
            # What is not read any more once both streams have ended, nobody needs to send.
            reading = 2
            while reading:
                ready = selector.select(left())
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    if key.data is None:
                        pending = self._feed(pending, pieces)
                        if not pending:
                            selector.unregister(self.stdin)
                    elif piece := key.fileobj.recv(CHUNK_BYTES):  # type: ignore[union-attr]
                        key.data(piece)
                    else:
                        selector.unregister(key.fileobj)
                        reading -= 1

    def _feed(self, pending: memoryview, pieces: Iterator[bytes]) -> memoryview:
        """Sends what fits; empty once all of it, or all that is taken, has been sent."""
        while True:
            if not pending:
                piece = _next(pieces)
                if piece is None:
                    self.stdin.shutdown(socket.SHUT_WR)
                    return pending
                pending = memoryview(piece)
                continue
            try:
                pending = pending[self.stdin.send(pending) :]
            except BlockingIOError:
                return pending
            except (BrokenPipeError, ConnectionResetError):
                # It ended before it had read everything; its exit code says why.
                return memoryview(b"")

    def close(self) -> None:
        """Closes all of it; the program loses its streams."""
        self.control.close()
        for one in (self.stdin, self.stdout, self.stderr):
            one.close()


def _discard(stream: socket.socket) -> None:
    with suppress(*_LOST):
        while stream.recv(CHUNK_BYTES):
            pass


def _next(pieces: Iterator[bytes]) -> bytes | None:
    try:
        return next(pieces, None)
    except OSError as error:
        message = f"cannot read what is to be sent: {error}"
        raise errors.StorageError(message) from error


class _OpenSshProcess:
    def __init__(self, session: _Session, line: RemoteLine, uri: str) -> None:
        self._session = session
        self._stdout = ProgramOutput(line, uri)
        self._uri = uri
        self._is_closed = False
        self.has_ended = False

    def read_line(self, timeout_s: float) -> str:
        """See Process.read_line."""
        self._session.stdout.settimeout(timeout_s)
        while (line := self._stdout.take_line()) is None:
            try:
                piece = self._session.stdout.recv(4096)
            except TimeoutError as error:
                message = f"no answer within {timeout_s:g} s on {self._uri}"
                raise errors.TimeoutError(message) from error
            except _LOST as error:
                raise self._lost() from error
            if not piece:
                self.has_ended = True
                if self._session.control.exit_code(EXIT_S) is None:
                    raise self._lost()
                return ""
            self._stdout.add_to_line(piece)
        return line

    def write_line(self, text: str) -> None:
        """See Process.write_line."""
        self._session.stdin.settimeout(STALL_S)
        try:
            self._session.stdin.sendall(f"{text}\n".encode())
        except _LOST as error:
            raise self._lost() from error

    def close(self) -> None:
        """See Process.close."""
        if self._is_closed:
            return
        self._is_closed = True
        # Its end may no longer reach us; closing is all that is left then.
        with suppress(*_LOST):
            self._session.stdin.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + _CLOSE_S
            self._session.stdout.settimeout(_CLOSE_S)
            while self._session.stdout.recv(CHUNK_BYTES):
                if time.monotonic() > deadline:
                    break
            else:
                self._session.control.exit_code(_CLOSE_S)
        self._session.close()

    def _lost(self) -> errors.UnavailableError:
        return errors.UnavailableError(f"lost the connection to {self._uri}")


class _ForwardedStream:
    """A connection to a program there; see Stream."""

    def __init__(self, control: Control, up: socket.socket, down: socket.socket) -> None:
        self._control, self._up, self._down = control, up, down

    def recv(self, size: int, /) -> bytes:
        """See Stream.recv."""
        return self._down.recv(size)

    def sendall(self, data: bytes, /) -> None:
        """See Stream.sendall."""
        self._up.sendall(data)

    def shutdown(self, how: int, /) -> None:
        """See Stream.shutdown."""
        if how != socket.SHUT_RD:
            self._up.shutdown(socket.SHUT_WR)
        if how != socket.SHUT_WR:
            self._down.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See Stream.close."""
        self._control.close()
        self._up.close()
        self._down.close()
