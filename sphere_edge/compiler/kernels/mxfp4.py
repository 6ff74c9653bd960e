"""Weights in mxfp4: codes become small integers by a table in a register, scales powers of two."""

from __future__ import annotations

from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.tir import Buffer, Value
from sphere_edge.quantization.mxfp4 import HALVES, INTEGERS
from sphere_edge.quantization.weights import GROUP

# Added to every weight where the dot product takes unsigned ones.
OFFSET = HALVES[-1]


def table(vector_bytes: int, offset: int) -> Value:
    """The value of each code plus `offset`, as bytes, in every 16 bytes of a vector."""
    numbers = [int(number) + offset & 0xFF for number in INTEGERS]
    words = [
        tir.const(int.from_bytes(bytes(numbers[at : at + 4]), "little"), "uint32")
        for at in range(0, 16, 4)
    ]
    spread = tir.lanes_of(words * (vector_bytes // 16), list(range(vector_bytes // 4)))
    return tir.bits(spread, "int8", vector_bytes)


def by_arithmetic(words: Value, lanes: int) -> Value:
    """The integers plus OFFSET of words with four codes each, without any table."""

    def every(octet: int) -> Value:
        return tir.const(octet * 0x01010101, "uint32", lanes)

    def bit(number: int) -> Value:
        return tir.bind((words >> tir.const(number, "uint32", lanes)) & every(1))

    def mask(ones: Value) -> Value:
        return tir.bind(ones * tir.const(0xFF, "uint32", lanes))

    low, middle, high, sign = (bit(number) for number in range(4))
    small = middle + middle + low
    large = tir.bind(every(4) + low + low)
    large = large + (large & mask(middle))
    is_large, is_negative = mask(high), mask(sign)
    inverse = tir.const(0xFFFFFFFF, "uint32", lanes)
    magnitude = tir.bind((small & (is_large ^ inverse)) | (large & is_large))
    # No octet overflows or borrows: magnitudes are at most the offset.
    plus, minus = every(OFFSET) + magnitude, every(OFFSET) - magnitude
    return tir.bind((plus & (is_negative ^ inverse)) | (minus & is_negative))


def scales(buffer: Buffer, index: tuple[Value, ...], lanes: int) -> Value:
    """Steps 2^(scale - 128) as float32; the smallest two become 0."""
    exponent = tir.cast(tir.load(buffer, index, lanes), "uint32", lanes)
    power = tir.bits(exponent << tir.const(23, "uint32", lanes), "float32", lanes)
    return power * tir.const(0.5, lanes=lanes)


def floats(weight: list[Buffer], index: tuple[Value, Value, Value], lanes: int) -> Value:
    """One column of `lanes` rows as float32: exact, and much slower than by integers.

    `index`: the block, the column, and the first row in the block.
    """
    (data, scale), (block, column, first) = weight, index
    group, inner = column // GROUP, column % GROUP
    words = tir.load(data, (block, group, inner % 16 // 4, first), lanes)
    shift = tir.splat(tir.cast(inner % 4 * 8 + inner // 16 * 4, "uint32", 1), lanes)
    codes = tir.bind((words >> shift) & tir.const(15, "uint32", lanes))
    unsigned = by_arithmetic(codes, lanes) & tir.const(255, "uint32", lanes)
    integers = tir.cast(tir.bits(unsigned, "int32", lanes), "float32", lanes)
    return (integers - tir.const(OFFSET, lanes=lanes)) * scales(scale, (block, group, first), lanes)
