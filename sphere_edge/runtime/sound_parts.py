"""The recordings inside one file: joined ones (`cat a.mp3 b.mp3`), and a wav without its length.

libsndfile reads only the first of joined files, and nothing of a wav whose recorder was ended
before it wrote how long it is. Formats: RFC 3533 (Ogg), RFC 9639 (FLAC), the RIFF specification,
and the Xing header of MP3, which counts the bytes of its file.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import struct
from collections.abc import Iterator
from typing import IO

from sphere_edge.errors import UnsupportedError

_SEARCHED_BYTES = 1 << 20
_MOST_PARTS = 1000
# In all wavs of a file together; each has a handful.
_MOST_CHUNKS = 20 * _MOST_PARTS
_OGG_HEADER_BYTES = 27
_OGG_BEGIN = 0x02
# Followed by its first block, which has 34 bytes.
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_CHUNK_NAME = re.compile(rb"[A-Za-z0-9 _]{4}")
_UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)


def parts(stream: IO[bytes]) -> list[IO[bytes]]:
    """Each recording in `stream` as a file of its own; `stream` itself where there is but one.

    Raises UnsupportedError: far too many. No more than that are ever looked for.
    """
    size = stream.seek(0, os.SEEK_END)
    head = _at(stream, 0, 12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        found = _wavs(stream, size)
    elif head[:4] == b"OggS":
        found = _between(_ogg_starts(stream, size), size)
    elif head[:4] == b"fLaC":
        found = _between(_flac_starts(stream), size)
    else:
        found = _between(_mp3_starts(stream, size), size)
    stream.seek(0)
    if found == [(0, size, {})]:
        return [stream]
    if len(found) > _MOST_PARTS:
        message = f"a file of more than {_MOST_PARTS} joined recordings"
        raise UnsupportedError(message)
    return [io.BufferedReader(_View(stream, *one)) for one in found]


# Where a part begins and ends, and bytes that are to be read at some place instead of its own.
_Part = tuple[int, int, dict[int, bytes]]
# The name, place and length of a chunk of a wav.
_Chunk = tuple[bytes, int, int]


def _between(starts: Iterator[int], size: int) -> list[_Part]:
    begins = [0, *itertools.islice(starts, _MOST_PARTS)]
    return [(at, end, {}) for at, end in zip(begins, [*begins[1:], size], strict=True)]


def _ogg_starts(stream: IO[bytes], size: int) -> Iterator[int]:
    """Where streams begin after another one: those of one recording begin one behind another."""
    at, begins = 0, True
    while at + _OGG_HEADER_BYTES <= size:
        header = _at(stream, at, _OGG_HEADER_BYTES)
        if header[:4] != b"OggS":
            return
        is_first = bool(header[5] & _OGG_BEGIN)
        if is_first and not begins:
            yield at
        begins = is_first
        at += _OGG_HEADER_BYTES + header[26] + sum(stream.read(header[26]))


def _flac_starts(stream: IO[bytes]) -> Iterator[int]:
    at, rest = 0, b""
    stream.seek(0)
    while piece := stream.read(_SEARCHED_BYTES):
        searched = rest + piece
        for match in _FLAC.finditer(searched):
            if begin := at - len(rest) + match.start():
                yield begin
        at += len(piece)
        rest = searched[-7:]


def _mp3_starts(stream: IO[bytes], size: int) -> Iterator[int]:
    at = 0
    while (length := _mp3_bytes(stream, at)) and at + length < size:
        at += length
        following = _at(stream, at, 4)
        if following[:3] != b"ID3" and not _is_mp3_frame(following):
            # Tags about the recording.
            return
        yield at


def _mp3_bytes(stream: IO[bytes], begin: int) -> int:
    """The length of the MP3 file that begins there, by its Xing header; 0 if it has none."""
    at = begin
    while (tag := _at(stream, at, 10))[:3] == b"ID3" and len(tag) == 10:
        # Seven bits of each byte.
        at += 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True)
        )
    frame = _at(stream, at, 64)
    if not _is_mp3_frame(frame):
        return 0
    is_version_1, is_mono = frame[1] & 0x08, frame[3] & 0xC0 == 0xC0
    side_bytes = (17 if is_mono else 32) if is_version_1 else (9 if is_mono else 17)
    xing = frame[4 + side_bytes :]
    flags = int.from_bytes(xing[4:8], "big")
    # The number of frames stands before that of bytes, where there is one.
    field = xing[12:16] if flags & 1 else xing[8:12]
    if xing[:4] not in (b"Xing", b"Info") or not flags & 2:
        return 0
    return at - begin + int.from_bytes(field, "big")


def _is_mp3_frame(head: bytes) -> bool:
    """Eleven bits of sync, a version, layer 3, a bit rate and a sample rate that there are."""
    return (
        len(head) >= 4
        and head[0] == 0xFF
        and head[1] & 0xE6 == 0xE2
        and head[1] & 0x18 != 0x08
        and head[2] & 0xF0 != 0xF0
        and head[2] & 0x0C != 0x0C
    )


def _wavs(stream: IO[bytes], size: int) -> list[_Part]:
    """Each wav with the length of its data, where the header does not know it."""
    found: list[_Part] = []
    begin = 0
    budget = iter(range(_MOST_CHUNKS))
    while begin < size and len(found) <= _MOST_PARTS:
        chunks = _chunks(stream, begin + 12, size, budget)
        _, at, length = next((one for one in chunks if one[0] == b"data"), (b"", size, 0))
        end = at + 8 + length + length % 2
        if at + 8 < size and (length in _UNKNOWN_LENGTHS or not _goes_on(stream, end, size)):
            # Lengths have 32 bits; what is longer cannot be told.
            lengths = {begin + 4: size - begin - 8, at + 4: size - at - 8}
            patches = {
                place: struct.pack("<I", min(count, 0xFFFFFFFF)) for place, count in lengths.items()
            }
            return [*found, (begin, size, patches)]
        following = _next_riff(_chunks(stream, end, size, budget), size)
        found.append((begin, following, {}))
        begin = following
    return found


def _goes_on(stream: IO[bytes], end: int, size: int) -> bool:
    """Whether the file ends at `end`, or goes on there with another chunk."""
    return end >= size or _CHUNK_NAME.fullmatch(_at(stream, end, 4)) is not None or size - end < 8


def _next_riff(chunks: Iterator[_Chunk], size: int) -> int:
    """Where the next wav begins behind chunks that do not matter here, or the end."""
    return next((at for name, at, _ in chunks if name == b"RIFF"), size)


def _chunks(stream: IO[bytes], at: int, size: int, budget: Iterator[int]) -> Iterator[_Chunk]:
    """Each chunk from `at` on, at most one for each of `budget`."""
    while at + 8 <= size and next(budget, None) is not None:
        name, length = struct.unpack("<4sI", _at(stream, at, 8))
        yield name, at, length
        at += 8 + length + length % 2


def _at(stream: IO[bytes], at: int, count: int) -> bytes:
    stream.seek(at)
    return stream.read(count)


class _View(io.RawIOBase):
    """Bytes [begin, end) of a file as a file of its own; `patches` replace some."""

    def __init__(self, stream: IO[bytes], begin: int, end: int, patches: dict[int, bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._begin, self._end = begin, end
        self._patches = patches
        self._at = begin

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """See io.IOBase."""
        base = {os.SEEK_SET: self._begin, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = max(self._begin, base + offset)
        return self._at - self._begin

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """See io.RawIOBase."""
        count = max(0, min(len(buffer), self._end - self._at))
        piece = bytearray(_at(self._stream, self._at, count))
        for place, content in self._patches.items():
            for index, byte in enumerate(content, place - self._at):
                if 0 <= index < len(piece):
                    piece[index] = byte
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
