"""Writes models in whisper.cpp's format, tensor by tensor.

The format and which tensors keep float32 or float16: whisper.cpp, models/convert-h5-to-ggml.py and
examples/quantize: matrices are quantized, but for the positions and the biases of the convolutions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from sphere_edge.errors import InvalidArgumentError, ModelCorruptError
from sphere_edge.formats import mel
from sphere_edge.formats.task import GGML_MAGIC
from sphere_edge.formats.whisper import WhisperFile

_FLOAT32, _FLOAT16 = 0, 1
# Names, ggml's numbers for the type of a tensor and for the type of a file, numbers in a block.
_QUANTIZATIONS = {
    "f32": (_FLOAT32, 0, 1),
    "f16": (_FLOAT16, 1, 1),
    "q5_0": (6, 2008, 32),
    "q8_0": (8, 2007, 32),
}
QUANTIZATIONS = tuple(_QUANTIZATIONS)
_PLAIN: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_KEPT = (
    *("encoder.positional_embedding", "decoder.positional_embedding"),
    *("encoder.conv1.bias", "encoder.conv2.bias"),
)

Tensor = tuple[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Dimensions:
    """In the order of the file; width, heads and layers of the encoder, then of the decoder."""

    vocab_size: int
    audio_positions: int
    audio_width: int
    audio_heads: int
    audio_layers: int
    text_positions: int
    text_width: int
    text_heads: int
    text_layers: int
    mel_bins: int


@dataclass(frozen=True)
class Header:
    """What the file begins with; `words` are those of the first tokens, special ones left out."""

    dimensions: Dimensions
    words: Sequence[bytes]


def write(path: Path, header: Header, tensors: Iterable[Tensor], quantization: str = "f16") -> None:
    """Writes all of the file. `tensors` have OpenAI's names and shapes; one is in memory at a time.

    Raises InvalidArgumentError: a quantization that is not in QUANTIZATIONS or does not go with the
    width.
    """
    dimensions, words = header.dimensions, header.words
    file_type = _file_type(quantization, dimensions.audio_width)
    filters = mel.filters(dimensions.mel_bins)
    with path.open("wb") as out:
        out.write(GGML_MAGIC + struct.pack("<11i", *astuple(dimensions), file_type))
        out.write(struct.pack("<2i", *filters.shape) + filters.astype("<f4").tobytes())
        out.write(struct.pack("<i", len(words)))
        for word in words:
            out.write(struct.pack("<i", len(word)) + word)
        for name, numbers in tensors:
            _write_tensor(out, name, numbers, quantization)


def quantize(file: WhisperFile, path: Path, quantization: str) -> None:
    """Writes `file`, whose matrices are f16 or f32, again with quantized ones.

    The same bytes as whisper.cpp's `quantize` writes. Raises InvalidArgumentError, also for a model
    that is quantized already.
    """
    for tensor in file.tensors:
        if tensor.dtype not in _PLAIN:
            message = f"`{file.path.name}` is quantized already (`{tensor.dtype}`)"
            raise InvalidArgumentError(message, hint="leave --quant out, or take its float model")
    file_type = _file_type(quantization, file.width)
    with file.path.open("rb") as source, path.open("wb") as out:
        head = bytearray(source.read(file.head_bytes))
        # The last of the dimensions.
        head[44:48] = struct.pack("<i", file_type)
        out.write(head)
        for tensor in file.tensors:
            source.seek(tensor.offset)
            numbers = np.frombuffer(source.read(tensor.bytes), _PLAIN[tensor.dtype])
            _write_tensor(out, tensor.name, numbers.reshape(tensor.shape), quantization)


def _file_type(quantization: str, width: int) -> int:
    """The number that ggml has for the type of a file."""
    if quantization not in _QUANTIZATIONS:
        message = f"speech models are not quantized as `{quantization}`"
        raise InvalidArgumentError(message, hint=f"choose one of: {', '.join(QUANTIZATIONS)}")
    _, file_type, block = _QUANTIZATIONS[quantization]
    if width % block:
        message = f"a width of `{width}` has no whole blocks of {block} numbers"
        raise InvalidArgumentError(message, hint="leave --quant out")
    return file_type


def _write_tensor(out: IO[bytes], name: str, numbers: npt.NDArray[Any], quantization: str) -> None:
    kind, content = _stored(name, numbers, quantization)
    shape = (len(numbers), 1) if name.endswith(("conv1.bias", "conv2.bias")) else numbers.shape
    out.write(struct.pack("<3i", len(shape), len(name), kind))
    out.write(struct.pack(f"<{len(shape)}i", *reversed(shape)) + name.encode())
    out.write(content)


def _stored(name: str, numbers: npt.NDArray[Any], quantization: str) -> tuple[int, bytes]:
    """The type's number and the bytes of a tensor; matrices are rounded to float16 first."""
    if not np.isfinite(numbers).all():
        message = f"tensor `{name[:120]}` holds NaN or infinity"
        raise ModelCorruptError(message, hint="download the model again")
    if quantization == "f32" or numbers.ndim < 2 or name in _KEPT:
        return _FLOAT32, numbers.astype("<f4").tobytes()
    if np.abs(numbers).max(initial=0) > np.finfo(np.float16).max:
        message = f"tensor `{name[:120]}` holds numbers that f16 cannot"
        raise ModelCorruptError(message, hint="--quant f32 has room for all finite ones")
    halves = numbers.astype(np.float16)
    if numbers.ndim > 2 or quantization == "f16":
        return _FLOAT16, halves.astype("<f2").tobytes()
    from gguf import GGMLQuantizationType, quants

    kind = _QUANTIZATIONS[quantization][0]
    packed = quants.quantize(halves.astype(np.float32), GGMLQuantizationType(kind))
    return kind, packed.tobytes()
