"""Linear layers of a batch on GPUs: the weights are read once for four sequences.

As with one token (`gpu_linear`), a group works on a few quads of rows, and its threads share the
columns. Reading four rows of activations in every thread would take longer than reading the
weights, so each round of columns is copied into local memory first, for all quads of the group.
The work groups of further sequences run beside the first and find its weights in the cache.

Each token is added up in the order in which it is alone: where a GPU's compiler contracts products
and sums alike in both kernels, a text is the same to the bit alone and in company.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sphere_edge.compiler.kernels import gpu_linear, tir
from sphere_edge.compiler.kernels import gpu_tir as gpu
from sphere_edge.compiler.kernels.gpu_linear import LANES, PIECE, Kernel
from sphere_edge.compiler.kernels.gpu_tir import Arithmetic
from sphere_edge.compiler.kernels.gpu_tuning import Tuning
from sphere_edge.compiler.kernels.linear import Shape
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.quantization.weights import GROUP, WeightFormat

# Tokens of a work group: their sums are in registers, and their activations in local memory.
TOKENS = 4
# Numbers between the columns of two threads in local memory: they are in different banks of it.
_PADDING = 4


@cache
def linear(arithmetic: Arithmetic, tuning: Tuning, fmt: WeightFormat, shape: Shape) -> PrimFunc:
    """f(x [n, columns], packed weight…, bias [rows] if any, y [n, rows])."""

    def body() -> None:
        kernel = gpu_linear.declared(arithmetic, tuning, fmt, shape)
        weight = kernel.weight
        split, quads = tuning.vector_split, tuning.batch_rows
        width = GROUP if fmt.is_quantized else PIECE
        groups = ((kernel.n + (TOKENS - 1)) // TOKENS, -(-weight.row_quads // quads))
        launch = gpu.launch(groups, (split, quads))
        with tir.code(), launch as (tokens, block, part, row):
            # First the activations of a round, in the end what each thread has added up.
            numbers = TOKENS * split * max(width + _PADDING, quads * LANES)
            _Group(
                kernel=kernel,
                width=width,
                part=part,
                row=row,
                first_token=tir.bind(tir.cast(tokens, "int32", 1) * TOKENS),
                quad=tir.bind(block * quads + row),
                memory=gpu.shared(numbers),
                offsets=gpu.shared(TOKENS * split) if weight.offset else None,
                total=tir.local(TOKENS * LANES),
            ).run()

    return tir.function(body)


@dataclass(frozen=True)
class _Group:
    """A thread of a work group: four tokens, one quad of rows, every `split`th step of columns."""

    kernel: Kernel
    # Columns of a step.
    width: int
    part: Value
    row: Value
    first_token: Value
    quad: Value
    memory: Buffer
    # [TOKENS, split]: what is subtracted from the sums of a step for the weights' offset.
    offsets: Buffer | None
    total: Buffer

    @property
    def split(self) -> int:
        return self.kernel.tuning.vector_split

    @property
    def quads(self) -> int:
        return self.kernel.tuning.batch_rows

    @property
    def thread(self) -> Value:
        return self.row * self.split + self.part

    def _at(self, token: Value, part: Value, column: Value) -> Value:
        """Where an activation is in local memory."""
        return (token * self.split + part) * (self.width + _PADDING) + column

    def run(self) -> None:
        """All of the kernel."""
        weight = self.kernel.weight
        steps = -(-self.kernel.shape.columns // self.width)
        for token in range(TOKENS):
            tir.store(self.total, token * LANES, tir.zeros(LANES), LANES)
        with tir.serial(-(-steps // self.split)) as round_:
            self._load(round_)
            gpu.barrier()
            if self.offsets is not None:
                self._add_offsets(self.offsets, weight.offset)
                gpu.barrier()
            step = tir.bind(round_ * self.split + self.part)
            with tir.when((self.quad < weight.row_quads) & (step < steps)):
                if weight.fmt.is_quantized:
                    self._add_group(step)
                else:
                    self._add_columns(step)
            gpu.barrier()
        self._write()

    def _load(self, round_: Value) -> None:
        """A round of columns of the four tokens; zero beyond the last column."""
        columns = self.kernel.shape.columns
        lanes = LANES if columns % LANES == 0 else 1
        each = self.split * self.width // lanes
        last = tir.cast(self.kernel.n, "int32", 1) - 1
        with gpu.share(TOKENS * each, self.thread, self.split * self.quads) as index:
            token, place = tir.bind(index // each), tir.bind(index % each * lanes)
            column = tir.bind(round_ * (self.split * self.width) + place)
            source = tir.bind(tir.minimum(self.first_token + token, last))
            target = tir.bind(self._at(token, place // self.width, place % self.width))
            tir.store(self.memory, target, tir.zeros(lanes), lanes)
            with tir.when(column < columns):
                number = tir.load(self.kernel.x, (source, column), lanes)
                tir.store(self.memory, target, number, lanes)

    def _add_offsets(self, offsets: Buffer, offset: int) -> None:
        """All weights are stored with an offset: one correction instead of one for each."""
        threads = self.split * self.quads
        with gpu.share(TOKENS * self.split, self.thread, threads) as index:
            added = tir.local(1)
            tir.store(added, 0, tir.const(0.0))
            with tir.serial(self.width) as column:
                at = self._at(index // self.split, index % self.split, column)
                tir.store(added, 0, tir.load(added, 0) + tir.load(self.memory, at))
            tir.store(offsets, index, tir.load(added, 0) * tir.const(offset))

    def _x(self, token: int, column: Value) -> Value:
        """An activation of this thread's step, in every lane."""
        return tir.splat(tir.load(self.memory, self._at(token, self.part, column)), LANES)

    def _add_group(self, group: Value) -> None:
        """Adds the products of 32 columns of four rows."""
        weight = self.kernel.weight
        sums = tir.local(TOKENS * LANES)
        for token in range(TOKENS):
            tir.store(sums, token * LANES, tir.zeros(LANES), LANES)
        # A loop: unrolled here, it would double the text that drivers compile.
        with tir.serial(weight.words_per_group) as word:
            words = weight.words(self.quad, group, word)
            for part in range(weight.parts):
                numbers = tir.bind(weight.stored(words, part, "float32"))
                column = weight.column_of(word, part)
                for token in range(TOKENS):
                    product = numbers * self._x(token, column)
                    before = tir.load(sums, token * LANES, LANES)
                    tir.store(sums, token * LANES, before + product, LANES)
        scales = weight.scales(self.quad, group)
        for token in range(TOKENS):
            added = tir.load(sums, token * LANES, LANES)
            if self.offsets is not None:
                offset = tir.load(self.offsets, token * self.split + self.part)
                added = added - tir.splat(offset, LANES)
            before = tir.load(self.total, token * LANES, LANES)
            tir.store(self.total, token * LANES, before + added * scales, LANES)

    def _add_columns(self, step: Value) -> None:
        """Adds the products of 16 columns of four rows that are not quantized."""
        with tir.serial(PIECE) as index:
            column = tir.bind(step * PIECE + index)
            with tir.when(column < self.kernel.shape.columns):
                numbers = tir.bind(self.kernel.weight.column(self.quad, column))
                for token in range(TOKENS):
                    product = numbers * self._x(token, index)
                    before = tir.load(self.total, token * LANES, LANES)
                    tir.store(self.total, token * LANES, before + product, LANES)

    def _write(self) -> None:
        """What the threads of a quad have added up, together."""
        of_token = self.quads * self.split * LANES
        position = tir.bind(self.thread * LANES)
        for token in range(TOKENS):
            number = tir.load(self.total, token * LANES, LANES)
            tir.store(self.memory, token * of_token + position, number, LANES)
        distance = self.split // 2
        while distance:
            gpu.barrier()
            with tir.when(self.part < distance):
                for token in range(TOKENS):
                    own = tir.bind(token * of_token + position)
                    other = tir.load(self.memory, own + distance * LANES, LANES)
                    mine = tir.load(self.memory, own, LANES)
                    tir.store(self.memory, own, mine + other, LANES)
            distance //= 2
        gpu.barrier()
        with tir.when((self.part == 0) & (self.quad < self.kernel.weight.row_quads)):
            for token in range(TOKENS):
                number = tir.bind(self.first_token + token)
                with tir.when(number < self.kernel.n):
                    first = token * of_token + position
                    self.kernel.write(number, self.quad, self.memory, first)
