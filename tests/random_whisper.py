"""Makes Whisper models with random weights in whisper.cpp's format; they transcribe nonsense."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_MAGIC = 0x67676D6C
_FLOAT32, _FLOAT16 = 0, 1
_MEL_BINS, _FOURIER_BINS = 80, 201
_AUDIO_CONTEXT, _TEXT_CONTEXT = 1500, 448
ENGLISH, MULTILINGUAL = 51864, 51865

Tensor = tuple[str, npt.NDArray[np.float32], int]


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; a decoder of two layers is taken for an early distilled one: no times."""

    width: int = 64
    heads: int = 2
    layers: int = 1
    vocab_size: int = MULTILINGUAL


def write(path: Path, shape: Shape | None = None, *, seed: int = 0) -> Path:
    """The same bytes for the same shape and seed; 7 MB with the default shape."""
    shape = shape or Shape()
    with path.open("wb") as out:
        out.write(header(shape))
        for name, values, kind in tensors(shape, seed):
            numbers = values.astype(np.float32 if kind == _FLOAT32 else np.float16)
            out.write(struct.pack("<3i", numbers.ndim, len(name), kind))
            out.write(struct.pack(f"<{numbers.ndim}i", *reversed(numbers.shape)))
            out.write(name.encode())
            out.write(numbers.tobytes())
    return path


def header(shape: Shape) -> bytes:
    """Everything before the tensors: dimensions, mel filters, words."""
    audio = (_AUDIO_CONTEXT, shape.width, shape.heads, shape.layers)
    text = (_TEXT_CONTEXT, shape.width, shape.heads, shape.layers)
    parts = [struct.pack("<12i", _MAGIC, shape.vocab_size, *audio, *text, _MEL_BINS, _FLOAT16)]
    parts.append(struct.pack("<2i", _MEL_BINS, _FOURIER_BINS))
    parts.append(_filters().tobytes())
    words = [_word(i) for i in range(shape.vocab_size - 1608)]
    parts.append(struct.pack("<i", len(words)))
    parts += [struct.pack("<i", len(word)) + word for word in words]
    return b"".join(parts)


def _filters() -> npt.NDArray[np.float32]:
    """Triangles of equal width: no ear works so, but they tell sounds apart."""
    centers = np.linspace(0, _FOURIER_BINS - 1, _MEL_BINS + 2)[1:-1]
    distance = np.abs(np.arange(_FOURIER_BINS)[None, :] - centers[:, None])
    return np.maximum(0, 1 - distance / 3).astype(np.float32) / 30


def _word(token: int) -> bytes:
    """All bytes, then a word for each number; every second one begins with a space."""
    if token < 256:
        return bytes([token])
    letters = "".join(chr(ord("a") + (token >> shift & 15)) for shift in (0, 4, 8, 12))
    return (" " + letters if token % 2 else letters).encode()


def tensors(shape: Shape, seed: int) -> Iterator[Tensor]:
    """All tensors in the order of OpenAI's checkpoints."""
    random = np.random.default_rng(seed)
    width = shape.width

    def matrix(name: str, *axes: int) -> Tensor:
        scale = 1 / np.sqrt(np.prod(axes[1:]))
        return name, random.standard_normal(axes, dtype=np.float32) * scale, _FLOAT16

    def vector(name: str, value: float, *axes: int) -> Tensor:
        return name, np.full(axes, value, dtype=np.float32), _FLOAT32

    def linear(name: str, rows: int, columns: int, *, bias: bool = True) -> Iterator[Tensor]:
        yield matrix(f"{name}.weight", rows, columns)
        if bias:
            yield vector(f"{name}.bias", 0, rows)

    def norm(name: str) -> Iterator[Tensor]:
        yield vector(f"{name}.weight", 1, width)
        yield vector(f"{name}.bias", 0, width)

    def attention(name: str) -> Iterator[Tensor]:
        yield from norm(f"{name}_ln")
        for part in ("query", "key", "value", "out"):
            yield from linear(f"{name}.{part}", width, width, bias=part != "key")

    def block(name: str, *attentions: str) -> Iterator[Tensor]:
        for part in attentions:
            yield from attention(f"{name}.{part}")
        yield from norm(f"{name}.mlp_ln")
        yield from linear(f"{name}.mlp.0", 4 * width, width)
        yield from linear(f"{name}.mlp.2", width, 4 * width)

    def positions(name: str, count: int) -> Tensor:
        return name, random.standard_normal((count, width), dtype=np.float32) / 10, _FLOAT32

    yield positions("encoder.positional_embedding", _AUDIO_CONTEXT)
    for number, inputs in ((1, _MEL_BINS), (2, width)):
        yield matrix(f"encoder.conv{number}.weight", width, inputs, 3)
        yield vector(f"encoder.conv{number}.bias", 0, width, 1)
    for i in range(shape.layers):
        yield from block(f"encoder.blocks.{i}", "attn")
    yield from norm("encoder.ln_post")
    yield positions("decoder.positional_embedding", _TEXT_CONTEXT)
    yield matrix("decoder.token_embedding.weight", shape.vocab_size, width)
    for i in range(shape.layers):
        yield from block(f"decoder.blocks.{i}", "attn", "cross_attn")
    yield from norm("decoder.ln")
