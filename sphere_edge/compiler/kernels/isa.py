"""What an instruction set gives to kernels: vector width, dot product, half conversions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.tir import Buffer, Value


@dataclass(frozen=True)
class Dot:
    """Integer dot products of weights with activations, for all rows of a row block at once.

    A group of 32 columns is one `start`, eight `step`s and one `finish`. A step takes a vector of
    words (four weights of each row) and one with a word of four int8 activations in every lane.
    What an instruction reads as a weight may exceed it by `offset`; `correction` is then
    -offset * sum of the activations.
    """

    offset: int
    # Weights as the instruction takes them, from a vector of stored words.
    prepare: Callable[[Value], Value]
    start: Callable[[Value], Value]
    step: Callable[[Value, Value, Value], Value]
    finish: Callable[[Value, Value], Value]


@dataclass(frozen=True)
class PairDot:
    """Integer dot products with two rows of activations at once: an instruction for small matrices.

    `rows` brings two vectors of words, with neighbouring columns of every row, into the order of
    the instruction's first operand, `activations` two neighbouring words each of both rows into
    that of its second. `step` adds their products to a list of sums that `start` makes from the
    corrections for both (see Dot), and from which `finish` takes those with the first and those
    with the second row of activations.
    """

    rows: Callable[[Value, Value], list[Value]]
    activations: Callable[[Value, Value], Value]
    start: Callable[[Value, Value], list[Value]]
    step: Callable[[list[Value], list[Value], Value], list[Value]]
    finish: Callable[[list[Value]], tuple[Value, Value]]


@dataclass(frozen=True)
class Isa:
    """One instruction set: `lanes` 32-bit lanes per register, also the row block of weights.

    `tile` activation rows are multiplied with a row block at once; their integer and float32 sums,
    two registers each, must fit into the register file. `sums` float32 vectors of sums
    fit in addition to the operands of a step of attention.
    """

    name: str
    lanes: int
    tile: int
    sums: int
    q4: Dot
    q8: Dot
    mxfp4: Dot
    # The eight words of a group of activations, which begin at an index, each in every lane.
    spread: Callable[[Buffer, Value], list[Value]]
    # float16 vector to float32 and back, round to nearest even.
    widen: Callable[[Value, int], Value]
    narrow: Callable[[Value, int], Value]
    # For two rows of activations and more; with the same offsets as for one.
    pair: PairDot | None = None

    def dot(self, fmt: str) -> Dot:
        """The dot product for weights in `fmt`: q4, q8 or mxfp4."""
        return {"q4": self.q4, "q8": self.q8, "mxfp4": self.mxfp4}[fmt]

    def divisor_lanes(self, size: int) -> int:
        """The widest vector, at most `lanes`, that divides `size`."""
        lanes = self.lanes
        while size % lanes:
            lanes //= 2
        return lanes


def spread_by_loads(lanes: int) -> Callable[[Buffer, Value], list[Value]]:
    """One load per word that fills all lanes, which x86 does as part of the instruction."""

    def spread(words: Buffer, first: Value) -> list[Value]:
        return [tir.splat(tir.load(words, first + word), lanes) for word in range(8)]

    return spread


def unchanged(words: Value) -> Value:
    """Weights that the instruction takes as they are stored."""
    return words


def widen_by_conversion(half: Value, lanes: int) -> Value:
    """float16 to float32 by the CPU's own instruction (F16C, NEON)."""
    return tir.cast(half, "float32", lanes)


def narrow_by_conversion(number: Value, lanes: int) -> Value:
    """float32 to float16 by the CPU's own instruction."""
    return tir.cast(number, "float16", lanes)
