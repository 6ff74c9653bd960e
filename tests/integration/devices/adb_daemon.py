"""A device daemon for the real adb server: speaks adb's transport, shell and sync protocols.

It stands for a phone's adbd: programs run on this machine with the given environment, and paths
are this machine's. Sources: AOSP packages/modules/adb, protocol.txt, SYNC.TXT, shell_protocol.h.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import stat
import struct
import subprocess
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

_VERSION = 0x01000001
_PAYLOAD_BYTES = 1 << 20
_AUTH_TOKEN, _AUTH_SIGNATURE, _AUTH_PUBLIC_KEY = 1, 2, 3
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_SYNC_DATA_BYTES = 64 << 10

Service = Callable[["_Stream"], Awaitable[None]]


@dataclass
class AdbDaemon:
    """Listens on a loopback port from `start` to `stop`.

    `owner` is who sits at the phone: "nobody" has switched authorization off, "willing" accepts
    the first key, "unwilling" lets the question stand.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    owner: Literal["nobody", "willing", "unwilling"] = "nobody"
    features: str = "shell_v2,cmd,fixed_push_mkdir"
    # While set, what is written to files there differs from what was sent.
    flips_bytes: bool = False
    port: int = 0
    keys: list[RSAPublicKey] = field(default_factory=list)
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    def stop(self) -> None:
        self.kill_programs()
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def kill_programs(self) -> None:
        """What a restart does to them."""
        for program in self.programs:
            if program.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(program.pid, signal.SIGKILL)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(started))
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._ended = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._ended.wait()
        server.close()
        for writer in list(self._writers):
            writer.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self._writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await connection.serve()
        self._writers.discard(writer)
        await connection.close()

    def knows(self, token: bytes, signature: bytes) -> bool:
        for key in self.keys:
            with suppress(InvalidSignature):
                digest = utils.Prehashed(hashes.SHA1())
                key.verify(signature, token, padding.PKCS1v15(), digest)
                return True
        return False

    def accepts(self, offered: bytes) -> bool:
        if self.owner != "willing":
            return False
        # Android's own layout: word count, n0inv, modulus and r² (little-endian), exponent.
        raw = base64.b64decode(offered.split(b" ")[0].rstrip(b"\0"))
        (words,) = struct.unpack_from("<I", raw)
        modulus = int.from_bytes(raw[8 : 8 + 4 * words], "little")
        (exponent,) = struct.unpack_from("<I", raw, 8 + 8 * words)
        self.keys.append(RSAPublicNumbers(exponent, modulus).public_key())
        return True


class _Stream:
    """One service of a connection: ordered bytes both ways, one unacknowledged packet each."""

    def __init__(self, connection: _Connection, local: int, remote: int) -> None:
        self.connection, self.local, self.remote = connection, local, remote
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self.acknowledged = asyncio.Event()
        self.acknowledged.set()
        self.is_closed = False
        self._rest = bytearray()

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), self.connection.payload_bytes):
            await self.acknowledged.wait()
            if self.is_closed:
                raise EOFError
            self.acknowledged.clear()
            piece = data[start : start + self.connection.payload_bytes]
            await self.connection.send(b"WRTE", self.local, self.remote, piece)

    async def exactly(self, count: int) -> bytes:
        while len(self._rest) < count:
            piece = await self.arrived.get()
            if not piece:
                raise EOFError
            self._rest += piece
            if not self.is_closed:
                await self.connection.send(b"OKAY", self.local, self.remote)
        taken = bytes(self._rest[:count])
        del self._rest[:count]
        return taken

    def end(self) -> None:
        self.is_closed = True
        self.acknowledged.set()
        self.arrived.put_nowait(b"")


class _Connection:
    def __init__(
        self, daemon: AdbDaemon, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.payload_bytes = 4096
        self._daemon, self._reader, self._writer = daemon, reader, writer
        self._streams: dict[int, _Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_id = 0
        self._is_authorized = daemon.owner == "nobody"
        self._token = os.urandom(20)
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        while True:
            header = await self._reader.readexactly(24)
            word, first, second, length, _, _ = struct.unpack("<4s5I", header)
            await self._take(word, first, second, await self._reader.readexactly(length))

    async def close(self) -> None:
        for stream in list(self._streams.values()):
            stream.end()
        self._writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send(self, word: bytes, first: int, second: int, data: bytes = b"") -> None:
        magic = int.from_bytes(word, "little") ^ 0xFFFFFFFF
        check = sum(data) & 0xFFFFFFFF if word in (b"CNXN", b"AUTH") else 0
        async with self._sending:
            header = struct.pack("<4s5I", word, first, second, len(data), check, magic)
            self._writer.write(header + data)
            await self._writer.drain()

    async def _take(self, word: bytes, first: int, second: int, data: bytes) -> None:
        if word == b"CNXN":
            self.payload_bytes = min(second, _PAYLOAD_BYTES)
            await self._greet()
        elif word == b"AUTH":
            known = first == _AUTH_SIGNATURE and self._daemon.knows(self._token, data)
            accepted = first == _AUTH_PUBLIC_KEY and self._daemon.accepts(data)
            self._is_authorized = known or accepted
            # An offered key is not answered until the owner taps the dialog.
            if self._is_authorized or first == _AUTH_SIGNATURE:
                await self._greet()
        elif word == b"OPEN" and self._is_authorized:
            await self._open(data.rstrip(b"\0").decode(), first)
        elif stream := self._streams.get(second):
            if word == b"WRTE":
                stream.arrived.put_nowait(data)
            elif word == b"OKAY":
                stream.acknowledged.set()
            elif word == b"CLSE":
                stream.end()
                self._streams.pop(second, None)

    async def _greet(self) -> None:
        if not self._is_authorized:
            self._token = os.urandom(20)
            await self.send(b"AUTH", _AUTH_TOKEN, 0, self._token)
            return
        banner = f"device::ro.product.model=Sphere Test;features={self._daemon.features}"
        await self.send(b"CNXN", _VERSION, _PAYLOAD_BYTES, banner.encode())

    async def _open(self, name: str, remote: int) -> None:
        kind, _, rest = name.partition(":")
        service: Service
        if kind == "sync":
            service = _Sync(self._daemon).serve
        elif kind.startswith("shell,v2"):
            service = _Shell(self._daemon, rest).serve
        else:
            await self.send(b"CLSE", 0, remote)
            return
        self._last_id += 1
        stream = _Stream(self, self._last_id, remote)
        self._streams[stream.local] = stream
        await self.send(b"OKAY", stream.local, remote)
        task = asyncio.create_task(self._run(stream, service))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, stream: _Stream, service: Service) -> None:
        with suppress(EOFError, ConnectionError):
            await service(stream)
        if not stream.is_closed:
            stream.end()
            self._streams.pop(stream.local, None)
            with suppress(ConnectionError):
                await self.send(b"CLSE", stream.local, stream.remote)


@dataclass
class _Shell:
    """The service `shell,v2,raw:COMMAND`."""

    daemon: AdbDaemon
    command: str

    async def serve(self, stream: _Stream) -> None:
        # Not asyncio's own subprocesses: they want the main thread's loop.
        process = subprocess.Popen(
            [self.daemon.environment.get("SHELL", "/bin/sh"), "-c", self.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **self.daemon.environment},
            start_new_session=True,
        )
        self.daemon.programs.append(process)
        with process:
            feeding = asyncio.create_task(self._feed(stream, process.stdin))
            try:
                await asyncio.gather(
                    self._tell(stream, process.stdout, _STDOUT),
                    self._tell(stream, process.stderr, _STDERR),
                )
                code = await asyncio.to_thread(process.wait)
                code = code if code >= 0 else 128 - code
                await stream.write(struct.pack("<BIB", _EXIT, 1, code))
            finally:
                # When the host hung up, the program goes on until it notices, as on a phone.
                feeding.cancel()
                with suppress(asyncio.CancelledError):
                    await feeding
                await asyncio.to_thread(process.wait)

    @staticmethod
    async def _tell(stream: _Stream, pipe: IO[bytes] | None, kind: int) -> None:
        while pipe and (piece := await asyncio.to_thread(os.read, pipe.fileno(), 32 << 10)):
            if not stream.is_closed:
                await stream.write(struct.pack("<BI", kind, len(piece)) + piece)

    @staticmethod
    async def _feed(stream: _Stream, pipe: IO[bytes] | None) -> None:
        if pipe is None:
            return
        try:
            while True:
                kind, length = struct.unpack("<BI", await stream.exactly(5))
                data = await stream.exactly(length)
                if kind == _CLOSE_STDIN:
                    pipe.close()
                elif kind == _STDIN and not pipe.closed:
                    await asyncio.to_thread(_write, pipe, data)
        except (EOFError, ConnectionError):
            return
        finally:
            with suppress(BrokenPipeError):
                pipe.close()


def _write(pipe: IO[bytes], data: bytes) -> None:
    with suppress(BrokenPipeError):
        pipe.write(data)
        pipe.flush()


@dataclass
class _Sync:
    """The service `sync:` in its first version, which every adb speaks."""

    daemon: AdbDaemon

    async def serve(self, stream: _Stream) -> None:
        while True:
            word, length = struct.unpack("<4sI", await stream.exactly(8))
            if word == b"QUIT":
                return
            argument = (await stream.exactly(length)).decode()
            try:
                if word == b"SEND":
                    await self._take(stream, argument)
                elif word == b"RECV":
                    await self._give(stream, Path(argument))
                elif word == b"STAT":
                    await self._stat(stream, Path(argument))
            except OSError as error:
                if isinstance(error, ConnectionError):
                    raise
                reason = (error.strerror or str(error)).encode()
                await stream.write(struct.pack("<4sI", b"FAIL", len(reason)) + reason)
                # A phone hangs up after a failure, while the host may still be sending.
                return

    async def _take(self, stream: _Stream, argument: str) -> None:
        path, _, mode = argument.rpartition(",")
        Path(path).unlink(missing_ok=True)
        with Path(path).open("wb") as file:
            while True:
                word, length = struct.unpack("<4sI", await stream.exactly(8))
                if word == b"DONE":
                    break
                data = await stream.exactly(length)
                if self.daemon.flips_bytes:
                    data = bytes([data[0] ^ 1]) + data[1:]
                file.write(data)
                file.flush()
        Path(path).chmod(stat.S_IMODE(int(mode)))
        await stream.write(struct.pack("<4sI", b"OKAY", 0))

    async def _give(self, stream: _Stream, path: Path) -> None:
        with path.open("rb") as file:
            while data := file.read(_SYNC_DATA_BYTES):
                await stream.write(struct.pack("<4sI", b"DATA", len(data)) + data)
        await stream.write(struct.pack("<4sI", b"DONE", 0))

    async def _stat(self, stream: _Stream, path: Path) -> None:
        try:
            found = path.stat()
            # 32 bits: a file of 5 GiB says that it has 1 GiB, as on every phone.
            told = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))
        except OSError:
            told = (0, 0, 0)
        await stream.write(struct.pack("<4s3I", b"STAT", *told))
