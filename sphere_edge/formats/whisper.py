"""Reads the header of a whisper.cpp file, and trusts nothing in it.

Format: https://github.com/ggml-org/whisper.cpp/blob/master/models/convert-pt-to-ggml.py, little
endian: magic, eleven dimensions, mel filters, words, tensors up to the end of the file.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats import finite
from sphere_edge.formats.gguf import tensor_type
from sphere_edge.formats.task import GGML_MAGIC

_DIMENSIONS = (
    *("vocab_size", "audio_context", "audio_width", "audio_heads", "audio_layers"),
    *("text_context", "text_width", "text_heads", "text_layers", "mel_bins", "file_type"),
)
# What whisper.cpp takes for granted: 30 s of audio at 50 positions a second, and the longest text.
_AUDIO_CONTEXT = 1500
_TEXT_CONTEXT = 448
_VOCABULARY_SIZES = (51864, 51865, 51866)
_FOURIER_BINS = 201
_LONGEST_WORD_BYTES = 1024
_LONGEST_NAME_BYTES = 127
_LARGEST = 2**31 - 1
_AGAIN = "download or convert the model again"


@dataclass(frozen=True)
class TensorLocation:
    """A tensor of `bytes` at `offset`; `shape` as numpy has it, `dtype` as `F16`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    offset: int


@dataclass(frozen=True)
class WhisperFile:
    """Sizes of a Whisper model; `quantization` is the commonest type of its matrices, as `F16`."""

    path: Path
    vocab_size: int
    width: int
    audio_layers: int
    text_layers: int
    mel_bins: int
    quantization: str
    parameters: int
    weights_bytes: int
    # Of all that comes before the tensors.
    head_bytes: int
    tensors: tuple[TensorLocation, ...]

    @property
    def languages(self) -> int:
        """How many it knows; 1: English only."""
        return languages(self.vocab_size)


def languages(vocab_size: int) -> int:
    """How many languages a model with so large a vocabulary knows; 1: English only."""
    return vocab_size - 51766 if vocab_size > _VOCABULARY_SIZES[0] else 1


def read(path: Path) -> WhisperFile:
    """The sizes of the model at `path`, all of the file checked but the numbers in its tensors.

    Raises ModelCorruptError: truncated, dimensions that no Whisper model has, no or wrong tensors.
    """
    with path.open("rb") as file:
        return _Reader(path, file).read()


def check_finite(file: WhisperFile) -> Iterator[int]:
    """As `finite.check`."""
    return finite.check(
        file.path,
        [finite.Stored(one.name, one.dtype.lower(), one.offset, one.bytes) for one in file.tensors],
    )


class _Reader:
    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._name = path.name
        self._path = path
        self._file = file
        self._size = path.stat().st_size

    def read(self) -> WhisperFile:
        if self._take(4) != GGML_MAGIC:
            self._fail("it does not begin as whisper.cpp's files do")
        sizes = self._dimensions()
        self._vocabulary(sizes)
        head_bytes = self._file.tell()
        tensors = self._tensors()
        expected = 11 + 15 * sizes["audio_layers"] + 24 * sizes["text_layers"]
        if len({tensor.name for tensor in tensors}) != len(tensors):
            self._fail("duplicate tensor")
        if len(tensors) != expected:
            self._fail(f"it holds {len(tensors)} tensors instead of {expected}")
        used: Counter[str] = Counter()
        for tensor in tensors:
            if len(tensor.shape) > 1:
                used[tensor.dtype] += math.prod(tensor.shape)
        return WhisperFile(
            path=self._path,
            vocab_size=sizes["vocab_size"],
            width=sizes["text_width"],
            audio_layers=sizes["audio_layers"],
            text_layers=sizes["text_layers"],
            mel_bins=sizes["mel_bins"],
            quantization=used.most_common(1)[0][0],
            parameters=sum(math.prod(tensor.shape) for tensor in tensors),
            weights_bytes=sum(tensor.bytes for tensor in tensors),
            head_bytes=head_bytes,
            tensors=tuple(tensors),
        )

    def _dimensions(self) -> dict[str, int]:
        sizes = dict(
            zip(_DIMENSIONS, struct.unpack("<11i", self._take(4 * len(_DIMENSIONS))), strict=True)
        )
        sound = (
            sizes["vocab_size"] in _VOCABULARY_SIZES
            and sizes["audio_context"] == _AUDIO_CONTEXT
            and sizes["text_context"] == _TEXT_CONTEXT
            and sizes["audio_width"] == sizes["text_width"]
            and 0 < sizes["audio_width"] <= 8192
            and all(0 < sizes[name] <= 256 for name in ("audio_layers", "text_layers", "mel_bins"))
            and all(
                sizes[f"{part}_heads"] > 0 and sizes[f"{part}_width"] % sizes[f"{part}_heads"] == 0
                for part in ("audio", "text")
            )
        )
        if not sound:
            dimensions = ", ".join(f"{name} {size}" for name, size in sizes.items())
            self._fail(f"no Whisper model has these dimensions: {dimensions}")
        return sizes

    def _vocabulary(self, sizes: dict[str, int]) -> None:
        bins, fourier = self._number(256), self._number(_LARGEST)
        if (bins, fourier) != (sizes["mel_bins"], _FOURIER_BINS):
            self._fail(f"its mel filters are `{bins}` times `{fourier}`")
        self._skip(4 * bins * fourier)
        for _ in range(self._number(sizes["vocab_size"])):
            self._skip(self._number(_LONGEST_WORD_BYTES))

    def _tensors(self) -> list[TensorLocation]:
        tensors = []
        while self._file.tell() < self._size:
            axes, length, kind = self._number(3), self._number(_LONGEST_NAME_BYTES), self._number()
            shape = tuple(self._number() for _ in range(axes))
            name = self._take(length).decode("utf-8", "replace")
            dtype, block, block_bytes = tensor_type(kind, name)
            count = math.prod(shape)
            if not shape or not 0 < count <= _LARGEST or shape[0] % block:
                self._fail(f"the shape of tensor `{name}` is `{shape}`")
            size = count // block * block_bytes
            location = TensorLocation(name, dtype, shape[::-1], size, self._file.tell())
            self._skip(size)
            tensors.append(location)
        return tensors

    def _number(self, greatest: int = _LARGEST) -> int:
        number: int = struct.unpack("<I", self._take(4))[0]
        if number > greatest:
            self._fail(f"a length is `{number}`")
        return number

    def _take(self, count: int) -> bytes:
        content = self._file.read(count)
        if len(content) < count:
            self._fail("it ends too early")
        return content

    def _skip(self, count: int) -> None:
        if count > self._size - self._file.tell():
            self._fail("it ends too early")
        self._file.seek(count, 1)

    def _fail(self, why: str) -> NoReturn:
        message = f"`{self._name}` is damaged: {why}"
        raise ModelCorruptError(message, hint=_AGAIN)
