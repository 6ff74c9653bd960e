"""Downloads only the headers of weight files on a hub: enough to know a model's sizes.

The length of a header is known only after parsing it, so the download follows the reader. The local
file is sparse and as large as the remote one, so code that reads only headers can open it.
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
    """Writes the header of the weight file `file` to `into`; the rest of the file is a hole.

    Raises what the header's reader and the download raise; `into` does not exist then.
    """
    if into.is_file() and into.stat().st_size == file.bytes:
        return
    part = into.with_name(into.name + ".part")
    try:
        with part.open("w+b") as cached:
            header = _RemoteFile(download, file, cached)
            if file.name.endswith(".gguf"):
                gguf.read_from(into, header)
            else:
                safetensors.read_header_from(into, header)
            cached.truncate(file.bytes)
        part.replace(into)
    finally:
        part.unlink(missing_ok=True)


class _RemoteFile:
    """A remote file as the header readers need it; `cached` holds what was downloaded so far."""

    def __init__(self, download: Download, file: RemoteFile, cached: BinaryIO) -> None:
        self._download = download
        self._file = file
        self._cached = cached
        self._downloaded = 0
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (self._file.bytes if whence == os.SEEK_END else 0)
        return self._at

    def read(self, count: int) -> bytes:
        end = min(self._at + count, self._file.bytes)
        while self._downloaded < end:
            # Twice as much each time: a vocabulary has tens of thousands of small parts.
            step = min(max(_FIRST_BYTES, self._downloaded, end - self._downloaded), _MOST_BYTES)
            step = min(step, self._file.bytes - self._downloaded)
            self._cached.seek(self._downloaded)
            self._cached.write(self._download.piece(self._file, self._downloaded, step))
            self._downloaded += step
        self._cached.seek(self._at)
        data = self._cached.read(max(end - self._at, 0))
        self._at += len(data)
        return data
