"""The beginnings of weight files at a hub: all that is needed to know a model's sizes.

A header says how long it is only while it is read, so the file comes as far as the reader gets.
What is kept has the file's size with a hole for its data: whoever reads headers sees the model.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from sphere_edge.formats import gguf, safetensors
from sphere_edge.formats.download import Download, RemoteFile

_FIRST_BYTES = 64 * 1024
_MOST_BYTES = 4 * 1024 * 1024


def fetch(download: Download, file: RemoteFile, into: Path) -> None:
    """Makes `into` with the header of the weight file `file` and a hole for the rest of its bytes.

    Raises what the header's reader and the transfer raise; nothing is left of `into` then.
    """
    if into.is_file() and into.stat().st_size == file.bytes:
        return
    part = into.with_name(into.name + ".part")
    try:
        with part.open("w+b") as kept:
            beginning = _Beginning(download, file, kept)
            if file.name.endswith(".gguf"):
                gguf.read_from(into, beginning)
            else:
                safetensors.read_header_from(into, beginning)
            kept.truncate(file.bytes)
        part.replace(into)
    finally:
        part.unlink(missing_ok=True)


class _Beginning:
    """A remote file, with what its readers want; `kept` holds what has come so far."""

    def __init__(self, download: Download, file: RemoteFile, kept: BinaryIO) -> None:
        self._download = download
        self._file = file
        self._kept = kept
        self._come = 0
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (self._file.bytes if whence == os.SEEK_END else 0)
        return self._at

    def read(self, count: int) -> bytes:
        end = min(self._at + count, self._file.bytes)
        while self._come < end:
            # Twice as much each time: a vocabulary has tens of thousands of small parts.
            step = min(max(_FIRST_BYTES, self._come, end - self._come), _MOST_BYTES)
            step = min(step, self._file.bytes - self._come)
            self._kept.seek(self._come)
            self._kept.write(self._download.piece(self._file, self._come, step))
            self._come += step
        self._kept.seek(self._at)
        data = self._kept.read(max(end - self._at, 0))
        self._at += len(data)
        return data
