"""Whether stored weights are numbers: one NaN makes a white image, an empty transcript, nonsense.

Floats by their bits, ggml's blocks by their scales (ggml-common.h), a few MiB at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from sphere_edge.errors import ModelCorruptError

_CHUNK_ELEMENTS = 2 * 1024 * 1024
# Type → words of so many bits, and the bits of the exponent, all of which are set in NaN and
# infinity (in f8_e4m3, which has no infinity, those of the number, too).
_FLOATS: dict[str, tuple[str, int]] = {
    "f64": ("<u8", 0x7FF0_0000_0000_0000),
    "f32": ("<u4", 0x7F80_0000),
    "f16": ("<u2", 0x7C00),
    "bf16": ("<u2", 0x7F80),
    "f8_e4m3": ("u1", 0x7F),
    "f8_e5m2": ("u1", 0x7C),
}
# Type → bytes of a block, and where in it are float16 scales.
BLOCKS: dict[str, tuple[int, tuple[int, ...]]] = {
    "q4_0": (18, (0,)),
    "q4_1": (20, (0, 2)),
    "q5_0": (22, (0,)),
    "q5_1": (24, (0, 2)),
    "q8_0": (34, (0,)),
    "q2_k": (84, (80, 82)),
    "q3_k": (110, (108,)),
    "q4_k": (144, (0, 2)),
    "q5_k": (176, (0, 2)),
    "q6_k": (210, (208,)),
    "iq4_nl": (18, (0,)),
    "iq4_xs": (136, (0,)),
}


@dataclass(frozen=True)
class Stored:
    """A tensor's `bytes` of the type `dtype` (f16, q4_k, …) at `offset` in its file."""

    name: str
    dtype: str
    offset: int
    bytes: int


def check(path: Path, tensors: Iterable[Stored]) -> Iterator[int]:
    """Reads `tensors` of the file at `path` and yields how many bytes were looked at.

    Raises ModelCorruptError naming the first that holds a number that is not finite. Types without
    floats are passed over.
    """
    with path.open("rb") as file:
        for tensor in tensors:
            for words, mask in _words(file, tensor):
                if ((words & mask) == mask).any():
                    message = f"tensor `{tensor.name[:120]}` of `{path.name}` holds NaN or infinity"
                    raise ModelCorruptError(message, hint="download the model again")
            yield tensor.bytes


def _words(file: IO[bytes], tensor: Stored) -> Iterator[tuple[npt.NDArray[Any], Any]]:
    """Its floats, or the scales of its blocks, as bits, and the bits that must not all be set."""
    if tensor.dtype in _FLOATS:
        kind, mask = _FLOATS[tensor.dtype]
        dtype = np.dtype(kind)
        for data in _pieces(file, tensor, _CHUNK_ELEMENTS * dtype.itemsize):
            yield np.frombuffer(data, dtype), dtype.type(mask)
    elif tensor.dtype in BLOCKS:
        size, scales = BLOCKS[tensor.dtype]
        half = np.dtype("<u2")
        for data in _pieces(file, tensor, _CHUNK_ELEMENTS // size * size):
            blocks = np.frombuffer(data, np.uint8).reshape(-1, size)
            for at in scales:
                words = np.ascontiguousarray(blocks[:, at : at + 2]).view(half)
                yield words, half.type(_FLOATS["f16"][1])


def _pieces(file: IO[bytes], tensor: Stored, step: int) -> Iterator[bytes]:
    file.seek(tensor.offset)
    left = tensor.bytes
    while left > 0:
        data = file.read(min(step, left))
        if not data:
            message = f"tensor `{tensor.name[:120]}` ends beyond the end of its file"
            raise ModelCorruptError(message, hint="download the model again")
        left -= len(data)
        yield data
