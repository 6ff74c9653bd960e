"""A simulated phone for the real adb server: speaks adb's transport protocol, with authorization.

It takes the place of a phone's adbd. Source: AOSP packages/modules/adb, protocol.txt.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from sphere_edge import errors
from sphere_edge.simulate.adb_services import Service, Shell, Stream, Sync
from sphere_edge.simulate.environment import Environment, HostEnvironment
from sphere_edge.simulate.programs import kill_sessions

_VERSION = 0x01000001
_PAYLOAD_BYTES = 1 << 20
_AUTH_TOKEN, _AUTH_SIGNATURE, _AUTH_PUBLIC_KEY = 1, 2, 3
_START_TIMEOUT_S = 10

Owner = Literal["nobody", "willing", "unwilling"]
FEATURES = "shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir,sendrecv_v2"


@dataclass
class AdbDaemon:
    """Listens on a loopback port from `start` to `stop`; `port` 0 becomes a free one.

    `owner`: "nobody" has authorization switched off, which lets every user of this machine in;
    "willing" accepts the first key and no other, "unwilling" does not answer the question.
    """

    environment: Environment = field(default_factory=HostEnvironment)
    owner: Owner = "nobody"
    features: str = FEATURES
    model: str = "Sphere Test"
    # While set, files are written with bytes that differ from what was sent.
    flips_bytes: bool = False
    port: int = 0
    keys: list[RSAPublicKey] = field(default_factory=list)
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)
    # Called with each service that the host asks for.
    on_service: Callable[[str], object] = lambda _: None

    def start(self) -> None:
        """Starts listening; StorageError if the port is taken."""
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(_START_TIMEOUT_S)
        if self._failure is not None:
            message = f"cannot listen on port {self.port}: {self._failure.strerror}"
            raise errors.StorageError(message, hint="name another with --port")

    def stop(self) -> None:
        """Ends every program and connection, and refuses new ones."""
        self.kill_programs()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(_START_TIMEOUT_S)

    def restart(self) -> None:
        """Does what a phone's restart does: programs and connections end, `/tmp` becomes empty."""
        self.stop()
        self.environment.on_restart()
        self.start()

    def kill_programs(self) -> None:
        """Ends every program that was started over adb, with all that it started."""
        kill_sessions([program.pid for program in self.programs if program.poll() is None])

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(started))
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._ended = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        try:
            server = await asyncio.start_server(
                self._accept, "127.0.0.1", self.port, limit=2 * _PAYLOAD_BYTES
            )
        except OSError as error:
            self._failure = error
            started.set()
            return
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

    def service(self, name: str) -> Service | None:
        """The service `name`, as in `sync:`; None if this phone does not have it."""
        self.on_service(name)
        kind, _, rest = name.partition(":")
        if kind == "sync":
            return Sync(self.environment, lambda: self.flips_bytes).serve
        if kind.startswith("shell,v2"):
            return Shell(self.environment, rest, self.programs.append).serve
        if kind == "reboot":
            return self._reboot
        return None

    async def _reboot(self, stream: Stream) -> None:
        threading.Thread(target=self.restart, daemon=True).start()

    def knows(self, token: bytes, signature: bytes) -> bool:
        """Whether one of the accepted keys signed `token`."""
        for key in self.keys:
            with suppress(InvalidSignature):
                digest = utils.Prehashed(hashes.SHA1())
                key.verify(signature, token, padding.PKCS1v15(), digest)
                return True
        return False

    def accepts(self, offered: bytes) -> bool:
        """Whether the owner accepts the host with this key, from now on."""
        if self.owner != "willing" or self.keys:
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
        taken = bytes(memoryview(self._rest)[:count])
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
            # An offered key gets no answer until the owner confirms the dialog.
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
        banner = f"device::ro.product.model={self._daemon.model};features={self._daemon.features}"
        await self.send(b"CNXN", _VERSION, _PAYLOAD_BYTES, banner.encode())

    async def _open(self, name: str, remote: int) -> None:
        service = self._daemon.service(name)
        if service is None:
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
