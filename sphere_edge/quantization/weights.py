"""The weight formats f32, f16, q8, q4 and mxfp4: sizes, packing, unpacking, error figures.

All formats store a matrix [rows, columns] in blocks of `row_block` rows, so that one vector
register holds the same column of all rows of a block (16 rows: AVX-512, 8: AVX2, 4: NEON). Rows are
padded with zeros to whole blocks. Every stored array has the blocks as its first axis: slices of
whole blocks can be packed on their own and written one after another.

f32, f16   data  [blocks, columns, row_block]             one number per weight

q8, q4     groups of 32 columns (padded with zeros) share one float16 scale per row:
           weight = scale * integer
           scale [blocks, groups, row_block]
q8         data  [blocks, groups, 8, row_block]  uint32   integers -127..127;
                                                          word j holds columns 4j..4j+3
q4         data  [blocks, groups, 4, row_block]  uint32   integers -8..7, stored as 0..15

           word j of a row, for a group of columns c0..c31:
             byte     3          2          1          0
             high  c[19+4j]   c[18+4j]   c[17+4j]   c[16+4j]     upper four bits of each byte
             low   c[ 3+4j]   c[ 2+4j]   c[ 1+4j]   c[   4j]     lower four bits
           so one AND, or a shift and an AND, gives four columns ready for an integer dot product.
mxfp4      as q4, but the four bits are a float (E2M1) and the scales powers of two (E8M0) as in
           the OCP Microscaling specification 1.0 (see mxfp4.py)
           scale [blocks, groups, row_block] uint8
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sphere_edge.errors import InvalidArgumentError, ModelCorruptError
from sphere_edge.quantization import mxfp4

Array = NDArray[np.generic]
Floats = NDArray[np.float32]

# Bits per weight of each format, the float16 scale of a group included.
FORMATS: Mapping[str, float] = {"f32": 32.0, "f16": 16.0, "q8": 8.5, "q4": 4.5, "mxfp4": 4.25}
GROUP = 32
# What the largest magnitude of a q4 group is tried to become.
_Q4_DIVISORS = (-8.0, -7.2, -8.8)
# Weights quantized at a time: temporaries stay inside the CPU's second-level cache.
_SLICE_WEIGHTS = 1 << 17


@dataclass(frozen=True)
class WeightFormat:
    """One of FORMATS in the layout of a target whose kernels work on `row_block` rows at a time."""

    name: str
    row_block: int

    def __post_init__(self) -> None:
        if self.name not in FORMATS:
            message = f"no weight format named `{self.name}`"
            raise InvalidArgumentError(message, hint=f"choose one of: {', '.join(FORMATS)}")
        if self.row_block < 1:
            message = f"a row block of `{self.row_block}` rows is too small; expected at least 1"
            raise InvalidArgumentError(message)

    @property
    def bits_per_weight(self) -> float:
        """Bits per stored weight, scales included, padding not."""
        return FORMATS[self.name]

    @property
    def is_quantized(self) -> bool:
        """Whether weights are small integers with a scale per group of 32 columns."""
        return self.name not in ("f32", "f16")

    def parameters(self, rows: int, columns: int) -> dict[str, tuple[tuple[int, ...], str]]:
        """Suffix, shape and dtype of the arrays of a matrix, in the order the kernels take them."""
        blocks = -(-rows // self.row_block)
        if not self.is_quantized:
            dtype = "float32" if self.name == "f32" else "float16"
            return {"data": ((blocks, columns, self.row_block), dtype)}
        groups = -(-columns // GROUP)
        words = 8 if self.name == "q8" else 4
        is_mxfp4 = self.name == "mxfp4"
        return {
            "data": ((blocks, groups, words, self.row_block), "uint32"),
            "scale": ((blocks, groups, self.row_block), "uint8" if is_mxfp4 else "float16"),
        }

    def pack(self, weight: Floats, scales: Floats | None = None) -> dict[str, Array]:
        """The arrays of `parameters` for a float32 [rows, columns] matrix.

        `scales` [rows, columns / 32]: the weights are whole multiples of them and stay exactly as
        they are. Raises ModelCorruptError where a weight is not finite or too large for the format.
        """
        if weight.ndim != 2 or 0 in weight.shape:
            message = f"a weight of shape `{weight.shape}` is not a matrix"
            raise InvalidArgumentError(message)
        rows, columns = weight.shape
        packed = {
            suffix: np.empty(shape, dtype)
            for suffix, (shape, dtype) in self.parameters(rows, columns).items()
        }
        for blocks, part in self._slices(weight):
            known = None
            if scales is not None and self.is_quantized:
                taken = scales[blocks.start * self.row_block : blocks.stop * self.row_block]
                known = np.pad(taken, ((0, part.shape[0] - taken.shape[0]), (0, 0)))
            for suffix, array in self._pack_slice(part, known).items():
                packed[suffix][blocks] = array
        return packed

    def unpack(self, packed: Mapping[str, Array], rows: int, columns: int) -> Floats:
        """The float32 [rows, columns] matrix that the packed arrays stand for."""
        for suffix, (shape, dtype) in self.parameters(rows, columns).items():
            found = packed[suffix]
            if found.shape != shape or found.dtype != dtype:
                message = f"`{suffix}` is {found.dtype} `{found.shape}`, not {dtype} `{shape}`"
                raise InvalidArgumentError(message)
        data = packed["data"]
        if not self.is_quantized:
            return _rows_first(data.astype(np.float32)[..., None])[:rows, :columns]
        # Rows first while a weight is still a byte or half of one.
        blocks, groups, words, row_block = data.shape
        octets = np.ascontiguousarray(data.transpose(0, 3, 1, 2))[..., None].view(np.uint8)
        octets = octets.reshape(blocks * row_block, groups, 4 * words)
        scale = packed["scale"]
        scale = mxfp4.scales(scale) if self.name == "mxfp4" else scale.astype(np.float32)
        scale = scale.transpose(0, 2, 1).reshape(blocks * row_block, groups, 1)
        if self.name == "q8":
            integers: Floats = octets.view(np.int8).astype(np.float32)
        else:
            nibbles = np.concatenate([octets & 15, octets >> 4], axis=-1)
            integers = (
                nibbles.view(np.int8).astype(np.float32) - np.float32(8)
                if self.name == "q4"
                else mxfp4.INTEGERS[nibbles]
            )
        integers *= scale
        return integers.reshape(blocks * row_block, groups * GROUP)[:rows, :columns]

    def _slices(self, weight: Floats) -> Iterator[tuple[slice, Floats]]:
        """Slices of whole row blocks, padded with zeros, columns padded to whole groups."""
        rows, columns = weight.shape
        width = -(-columns // GROUP) * GROUP if self.is_quantized else columns
        step = max(1, _SLICE_WEIGHTS // (self.row_block * width))
        for first in range(0, -(-rows // self.row_block), step):
            part = weight[first * self.row_block : (first + step) * self.row_block]
            blocks = -(-part.shape[0] // self.row_block)
            padding = ((0, blocks * self.row_block - part.shape[0]), (0, width - columns))
            part = np.pad(part, padding) if any(after for _, after in padding) else part
            yield slice(first, first + blocks), np.ascontiguousarray(part, np.float32)

    def _pack_slice(self, weight: Floats, scales: Floats | None) -> dict[str, Array]:
        rows, columns = weight.shape
        blocks = rows // self.row_block
        if not self.is_quantized:
            limit = np.finfo(np.float32 if self.name == "f32" else np.float16).max
            _check_range(weight, float(limit), self.name)
            dtype = np.float32 if self.name == "f32" else np.float16
            by_block = weight.astype(dtype).reshape(blocks, self.row_block, columns)
            return {"data": by_block.transpose(0, 2, 1)}
        groups = weight.reshape(rows, columns // GROUP, GROUP)
        if scales is not None:
            octets, scale = self._keep(groups, scales)
        else:
            octets, scale = _QUANTIZE[self.name](groups)
        if self.name != "q8":
            octets = octets[..., :16] | np.left_shift(octets[..., 16:], 4, dtype=np.uint8)
        words = octets.view(np.uint32).reshape(blocks, self.row_block, columns // GROUP, -1)
        return {
            "data": words.transpose(0, 2, 3, 1),
            "scale": scale.reshape(blocks, self.row_block, -1).transpose(0, 2, 1),
        }

    def _keep(self, groups: Floats, scales: Floats) -> tuple[NDArray[np.uint8], Array]:
        return (
            mxfp4.keep(groups, scales) if self.name == "mxfp4" else _keep(groups, scales, self.name)
        )


def _rows_first(blocked: Floats) -> Floats:
    """[blocks, words, row_block, columns per word] as [rows, columns]."""
    blocks, words, row_block, each = blocked.shape
    rows: Floats = blocked.transpose(0, 2, 1, 3).reshape(blocks * row_block, words * each)
    return rows


def _check_range(weight: Floats, limit: float, name: str) -> None:
    """Raises where a number is NaN, infinite or beyond `limit`."""
    largest = max(float(weight.max()), -float(weight.min()))
    if not largest <= limit:
        message = f"a weight of `{largest}` cannot be stored as {name}"
        raise ModelCorruptError(message)


def _quantize_q8(groups: Floats) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Integers [..., 32] and scales [...] of groups [..., 32]: largest magnitude / 127."""
    _check_range(groups, 65504.0 * 127, "q8")
    scale = (np.abs(groups).max(axis=-1) / np.float32(127)).astype(np.float16)
    integers = np.rint(groups * _inverse(scale)[..., None])
    # Never -128: the AVX2 kernel multiplies magnitudes that must fit in seven bits.
    return np.clip(integers, -127, 127).astype(np.int8).view(np.uint8), scale


def _quantize_q4(groups: Floats) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Integers + 8 [..., 32] and scales [...] of groups [..., 32].

    The number of largest magnitude becomes about -8, the end with one more step (the idea of GGML's
    Q4_0). Of three roundings the one is kept whose best scale, sum(w q) / sum(q q), leaves the
    smallest squared error, sum(w w) - sum(w q)^2 / sum(q q): 5 % less than Q4_0 on normal weights.
    """
    _check_range(groups, 65504.0 * 7, "q4")
    largest, smallest = groups.max(axis=-1), groups.min(axis=-1)
    extreme = np.where(largest > -smallest, largest, smallest)
    inverse = _inverse(extreme)
    integers = np.zeros_like(groups)
    scale, explained = np.zeros_like(extreme), np.zeros_like(extreme)
    for divisor in _Q4_DIVISORS:
        tried = groups * (inverse * np.float32(divisor))[..., None]
        np.rint(tried, out=tried)
        np.clip(tried, -8, 7, out=tried)
        products = np.einsum("...i,...i->...", groups, tried)
        squares = np.maximum(np.einsum("...i,...i->...", tried, tried), np.float32(1))
        better = products * (products / squares) > explained
        explained = np.where(better, products * (products / squares), explained)
        scale = np.where(better, products / squares, scale)
        np.copyto(integers, tried, where=better[..., None])
    return (integers + np.float32(8)).astype(np.uint8), scale.astype(np.float16)


def _quantize_mxfp4(groups: Floats) -> tuple[NDArray[np.uint8], Array]:
    """Codes [..., 32] and scales [...] of groups [..., 32]."""
    _check_range(groups, 2.0**126, "mxfp4")
    return mxfp4.quantize(groups)


_QUANTIZE: Mapping[str, Callable[[Floats], tuple[NDArray[np.uint8], Array]]] = {
    "q8": _quantize_q8,
    "q4": _quantize_q4,
    "mxfp4": _quantize_mxfp4,
}


def _keep(
    groups: Floats, scales: Floats, name: str
) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Integers and scales of groups [..., 32] that are whole multiples of `scales` [...]."""
    scale = scales.astype(np.float16)
    integers = np.rint(groups * _inverse(scales)[..., None])
    low, high = (-8, 7) if name == "q4" else (-127, 127)
    kept = integers * scale.astype(np.float32)[..., None]
    # Scales in bfloat16 lose a bit or two as float16; nothing else may be lost.
    if integers.min() < low or integers.max() > high or not np.allclose(kept, groups, rtol=1e-3):
        message = f"the quantized weights are not whole multiples, {low} to {high}, of their scales"
        raise ModelCorruptError(message)
    if name == "q4":
        return (integers + np.float32(8)).astype(np.uint8), scale
    return integers.astype(np.int8).view(np.uint8), scale


def _inverse(number: NDArray[np.floating[Any]]) -> Floats:
    """1 / number, and 0 where that is 0 or too small to divide by."""
    wide = number.astype(np.float32)
    inverse: Floats = np.divide(1, wide, out=np.zeros_like(wide), where=np.abs(wide) > 1e-30)
    return inverse
