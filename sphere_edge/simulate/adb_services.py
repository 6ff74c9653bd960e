"""What a simulated phone does for adb: programs (shell, version 2) and files (sync, 1 and 2).

Sources: AOSP packages/modules/adb, SERVICES.TXT, SYNC.TXT, shell_protocol.h, file_sync_protocol.h.
"""

from __future__ import annotations

import asyncio
import os
import stat
import struct
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from sphere_edge.simulate.environment import Environment, start

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_SYNC_DATA_BYTES = 64 << 10
_PATH_LIMIT_BYTES = 1024
# `none` of sync_send_v2.flags: no feature of ours announces compression.
_PLAIN = 0
_LOW_32 = 0xFFFFFFFF


class Stream(Protocol):
    """Ordered bytes both ways between the host and one service."""

    is_closed: bool

    async def write(self, data: bytes) -> None:
        """Raises EOFError once the host has hung up."""

    async def exactly(self, count: int) -> bytes:
        """The next `count` bytes. Raises EOFError."""


Service = Callable[[Stream], Awaitable[None]]


@dataclass
class Shell:
    """The service `shell,v2,raw:LINE`; `started` is fields each program."""

    environment: Environment
    line: str
    started: Callable[[subprocess.Popen[bytes]], object]

    async def serve(self, stream: Stream) -> None:
        """Runs the line to its end."""
        # Not asyncio's subprocesses: they need the main thread's loop.
        process = start(self.environment, self.line)
        self.started(process)
        with process:
            feeding = asyncio.create_task(self._feed(stream, process.stdin))
            try:
                await asyncio.gather(
                    self._forward(stream, process.stdout, _STDOUT),
                    self._forward(stream, process.stderr, _STDERR),
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
    async def _forward(stream: Stream, pipe: IO[bytes] | None, kind: int) -> None:
        while pipe and (piece := await asyncio.to_thread(os.read, pipe.fileno(), 32 << 10)):
            if not stream.is_closed:
                with suppress(EOFError):
                    await stream.write(struct.pack("<BI", kind, len(piece)) + piece)

    @staticmethod
    async def _feed(stream: Stream, pipe: IO[bytes] | None) -> None:
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


class SyncRejectedError(Exception):
    """The host asked for something that a phone rejects, with this reason."""


@dataclass
class Sync:
    """The service `sync:`; while `flips_bytes`, files are written with their first bits flipped."""

    environment: Environment
    flips_bytes: Callable[[], bool]

    async def serve(self, stream: Stream) -> None:
        """Answers requests until the host quits."""
        answers: dict[bytes, Callable[[Stream, str], Awaitable[None]]] = {
            b"SEND": self._take_v1,
            b"SND2": self._take_v2,
            b"RECV": self._give,
            b"RCV2": self._give_v2,
            b"STAT": self._stat,
            b"STA2": self._stat_v2,
            b"LST2": self._stat_v2_of_links,
            b"LIST": self._list,
            b"LIS2": self._list_v2,
        }
        while True:
            word, length = struct.unpack("<4sI", await stream.exactly(8))
            if word == b"QUIT":
                return
            try:
                if word not in answers or length > _PATH_LIMIT_BYTES:
                    message = f"unknown request {word!r}"
                    raise SyncRejectedError(message)
                await answers[word](stream, (await stream.exactly(length)).decode())
            except (OSError, SyncRejectedError) as error:
                if isinstance(error, ConnectionError):
                    raise
                reason = str(getattr(error, "strerror", None) or error).encode()
                await stream.write(struct.pack("<4sI", b"FAIL", len(reason)) + reason)
                # A phone hangs up after a failure, while the host may still be sending.
                return

    async def _take_v1(self, stream: Stream, argument: str) -> None:
        path, _, mode = argument.rpartition(",")
        await self._take(stream, path, int(mode))

    async def _take_v2(self, stream: Stream, path: str) -> None:
        _, mode, flags = struct.unpack("<4sII", await stream.exactly(12))
        _require_plain(flags)
        await self._take(stream, path, mode)

    async def _take(self, stream: Stream, remote: str, mode: int) -> None:
        path = self.environment.path(remote, to_write=True)
        path.unlink(missing_ok=True)
        with path.open("wb", buffering=0) as file:
            while True:
                word, length = struct.unpack("<4sI", await stream.exactly(8))
                if word == b"DONE":
                    break
                if word != b"DATA" or length > _SYNC_DATA_BYTES:
                    message = f"invalid data message {word!r}"
                    raise SyncRejectedError(message)
                data = await stream.exactly(length)
                if self.flips_bytes():
                    data = bytes([data[0] ^ 1]) + data[1:]
                file.write(data)
        path.chmod(stat.S_IMODE(mode))
        await stream.write(struct.pack("<4sI", b"OKAY", 0))

    async def _give_v2(self, stream: Stream, remote: str) -> None:
        _, flags = struct.unpack("<4sI", await stream.exactly(8))
        _require_plain(flags)
        await self._give(stream, remote)

    async def _give(self, stream: Stream, remote: str) -> None:
        with self.environment.path(remote).open("rb") as file:
            while data := file.read(_SYNC_DATA_BYTES):
                await stream.write(struct.pack("<4sI", b"DATA", len(data)) + data)
        await stream.write(struct.pack("<4sI", b"DONE", 0))

    async def _stat(self, stream: Stream, remote: str) -> None:
        found = _found(self.environment.path(remote), follow=False)
        fields = (found.st_mode, found.st_size, int(found.st_mtime)) if found else (0, 0, 0)
        # 32 bits: a file of 5 GiB reports 1 GiB, as on every phone.
        await stream.write(struct.pack("<4s3I", b"STAT", *(number & _LOW_32 for number in fields)))

    async def _stat_v2(self, stream: Stream, remote: str) -> None:
        fields = _stat_v2(_found(self.environment.path(remote), follow=True))
        await stream.write(struct.pack("<4s", b"STA2") + fields)

    async def _stat_v2_of_links(self, stream: Stream, remote: str) -> None:
        fields = _stat_v2(_found(self.environment.path(remote), follow=False))
        await stream.write(struct.pack("<4s", b"LST2") + fields)

    async def _list(self, stream: Stream, remote: str) -> None:
        for path, found in _entries(self.environment.path(remote)):
            name = path.name.encode()
            fields = (found.st_mode, found.st_size & _LOW_32, int(found.st_mtime) & _LOW_32)
            await stream.write(struct.pack("<4s4I", b"DENT", *fields, len(name)) + name)
        await stream.write(struct.pack("<4s4I", b"DONE", 0, 0, 0, 0))

    async def _list_v2(self, stream: Stream, remote: str) -> None:
        for path, found in _entries(self.environment.path(remote)):
            name = path.name.encode()
            fields = _stat_v2(found) + struct.pack("<I", len(name)) + name
            await stream.write(struct.pack("<4s", b"DNT2") + fields)
        await stream.write(struct.pack("<4s", b"DONE") + bytes(72))


def _require_plain(flags: int) -> None:
    if flags != _PLAIN:
        message = f"compression flags {flags} were not announced"
        raise SyncRejectedError(message)


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        found = _found(path, follow=False)
        if found is not None:
            yield path, found


def _found(path: Path, *, follow: bool) -> os.stat_result | None:
    try:
        return path.stat() if follow else path.lstat()
    except OSError:
        return None


def _stat_v2(found: os.stat_result | None) -> bytes:
    """sync_stat_v2 of file_sync_protocol.h after its id, sizes in 64 bits."""
    if found is None:
        return struct.pack("<I2Q4IQ3q", 2, *(0,) * 10)
    return struct.pack(
        "<I2Q4IQ3q",
        0,
        *(found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid, found.st_gid),
        *(found.st_size, int(found.st_atime), int(found.st_mtime), int(found.st_ctime)),
    )
