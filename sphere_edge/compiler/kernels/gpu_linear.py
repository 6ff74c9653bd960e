"""Linear layers on GPUs over the weights of `linear`: y [n, rows] = x [n, columns] W^T (+ bias).

A thread takes four rows of W at a time, which are adjacent in the packed layout whatever the
size of its row blocks, so that the GPU reads the CPU's weights with loads of 16 bytes.

One token: a group works on a few quads of rows; its threads share the columns group by group and
add up what they have at the end. Reading the weights takes the time, so all sums are float32. With
`Arithmetic.textures` the stored words of quantized weights come as texels of an image over the same
memory: four words of 32 bits, which is what a thread reads at once anyway.

Many tokens: tiles of weights and activations are unpacked into local memory, 32 columns at a time.
Activations are scaled by the largest of their 16 columns: whatever their size, a sum of 16
products with integers of four or eight bits stays within float16, where half of the time is saved.
Sums over such pieces are float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sphere_edge.compiler.kernels import gpu_tir as gpu
from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.gpu_tir import Arithmetic
from sphere_edge.compiler.kernels.gpu_tuning import Tuning
from sphere_edge.compiler.kernels.linear import Shape
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.quantization.weights import GROUP, WeightFormat

# Rows of W per thread.
LANES = 4
# Columns that share a scale of the activations.
PIECE = 16


@cache
def linear(arithmetic: Arithmetic, tuning: Tuning, fmt: WeightFormat, shape: Shape) -> PrimFunc:
    """f(x [n, columns], packed weight…, bias [rows] if any, y [n, rows])."""

    def body() -> None:
        kernel = declared(arithmetic, tuning, fmt, shape)
        with tir.code():
            if shape.single:
                _one_token(kernel)
            else:
                _many_tokens(kernel)

    return tir.function(body)


@dataclass(frozen=True)
class Weight:
    """A packed matrix, read four rows at a time: rows 4 * quad to 4 * quad + 3."""

    arithmetic: Arithmetic
    fmt: WeightFormat
    shape: Shape
    arrays: list[Buffer]
    # Whether the stored words are read as texels.
    textures: bool = False

    @property
    def row_quads(self) -> int:
        """Groups of four rows, including those that only pad the last ones."""
        return int(self.arrays[0].shape[0]) * (self.fmt.row_block // LANES)

    @property
    def groups(self) -> int:
        """Groups of 32 columns."""
        return -(-self.shape.columns // GROUP)

    def _block_and_lane(self, quad: Value) -> tuple[Value, Value]:
        per_block = self.fmt.row_block // LANES
        return quad // per_block, quad % per_block * LANES

    def scales(self, quad: Value, group: Value) -> Value:
        """The four rows' scales, float32; only for quantized formats."""
        block, lane = self._block_and_lane(quad)
        return self.arithmetic.load(self.arrays[1], (block, group, lane), LANES)

    def words(self, quad: Value, group: Value, word: Value) -> Value:
        """One stored word of each of the four rows; only for quantized formats."""
        block, lane = self._block_and_lane(quad)
        position = (block, group, word, lane)
        read = gpu.texel if self.textures else tir.load
        return tir.bind(read(self.arrays[0], position, LANES))

    def column(self, quad: Value, column: Value) -> Value:
        """One column of the four rows, float32; only for formats that are not quantized."""
        block, lane = self._block_and_lane(quad)
        return self.arithmetic.load(self.arrays[0], (block, column, lane), LANES)

    @property
    def words_per_group(self) -> int:
        """Stored words per row and group of 32 columns; other formats: eight of four numbers."""
        return 4 if self.fmt.name == "q4" else 8

    @property
    def parts(self) -> int:
        """Weights per stored word."""
        return GROUP // self.words_per_group

    @property
    def offset(self) -> int:
        """What was added to every integer so that none is negative."""
        return 8 if self.fmt.name == "q4" else 0

    def column_of(self, word: Value, part: int) -> Value:
        """The column in its group of part `part` of stored word `word`."""
        if self.fmt.name == "q4":
            return word * 4 + (part // 2 + part % 2 * PIECE)
        return word * 4 + part

    def stored(self, words: Value, part: int, dtype: str) -> Value:
        """The integers, `offset` included, at `part` of each word, counted from the lowest bits."""
        if self.fmt.name == "q8":
            up = tir.bits(words << tir.const(24 - 8 * part, "uint32", LANES), "int32", LANES)
            return tir.cast(up >> tir.const(24, "int32", LANES), dtype, LANES)
        four_bits = words >> tir.const(4 * part, "uint32", LANES)
        return tir.cast(four_bits & tir.const(15, "uint32", LANES), dtype, LANES)


@dataclass(frozen=True)
class Kernel:
    """What the function is made of: its parameters, and how it computes."""

    arithmetic: Arithmetic
    tuning: Tuning
    weight: Weight
    n: Any
    x: Buffer
    bias: Buffer | None
    y: Buffer

    @property
    def shape(self) -> Shape:
        """Sizes."""
        return self.weight.shape

    def write(self, token: Value, quad: Value, sums: Buffer, first: Value) -> None:
        """The finished numbers of four rows, at `first` of `sums`; rows beyond are left out."""
        lanes = LANES if self.shape.rows % LANES == 0 else 1
        for lane in range(0, LANES, lanes):
            row = quad * LANES + lane
            with tir.when(row < self.shape.rows):
                total = tir.load(sums, first + lane, lanes)
                if self.bias is not None:
                    total = total + tir.load(self.bias, row, lanes)
                tir.store(self.y, (token, row), total, lanes)


def declared(arithmetic: Arithmetic, tuning: Tuning, fmt: WeightFormat, shape: Shape) -> Kernel:
    """The parameters of the function being made: f(x, packed weight…, bias?, y)."""
    n = 1 if shape.single else tir.symbol("n")
    x = tir.parameter("x", (n, shape.columns), "float32")
    textures = arithmetic.textures and shape.single and fmt.is_quantized
    sizes = fmt.parameters(shape.rows, shape.columns)
    names = [gpu.TEXELS, *list(sizes)[1:]] if textures else list(sizes)
    weight = [
        tir.parameter(name, size, dtype)
        for name, (size, dtype) in zip(names, sizes.values(), strict=True)
    ]
    bias = tir.parameter("bias", (shape.rows,), "float32") if shape.bias else None
    y = tir.parameter("y", (n, shape.rows), "float32")
    packed = Weight(arithmetic, fmt, shape, weight, textures)
    return Kernel(arithmetic, tuning, packed, n, x, bias, y)


def _one_token(kernel: Kernel) -> None:
    weight, shape, tuning = kernel.weight, kernel.shape, kernel.tuning
    split, row_quads = tuning.vector_split, tuning.vector_rows
    steps = weight.groups if weight.fmt.is_quantized else -(-shape.columns // PIECE)
    with gpu.launch((-(-weight.row_quads // row_quads),), (split, row_quads)) as (block, part, row):
        partial = gpu.shared(row_quads * split * LANES)
        total = tir.local(LANES)
        tir.store(total, 0, tir.zeros(LANES), LANES)
        quad = tir.bind(block * row_quads + row)
        with tir.when(quad < weight.row_quads), tir.serial(-(-steps // split)) as round_:
            step = tir.bind(round_ * split + part)
            with tir.when(step < steps):
                if weight.fmt.is_quantized:
                    _add_group(kernel, quad, step, total)
                else:
                    _add_columns(kernel, quad, step, total)
        position = tir.bind((row * split + part) * LANES)
        tir.store(partial, position, tir.load(total, 0, LANES), LANES)
        distance = split // 2
        while distance:
            gpu.barrier()
            with tir.when(part < distance):
                other = tir.load(partial, position + distance * LANES, LANES)
                tir.store(partial, position, tir.load(partial, position, LANES) + other, LANES)
            distance //= 2
        gpu.barrier()
        with tir.when((part == 0) & (quad < weight.row_quads)):
            kernel.write(0, quad, partial, position)


def _add_group(kernel: Kernel, quad: Value, group: Value, total: Buffer) -> None:
    """Adds the products of 32 columns of four rows to `total`."""
    weight = kernel.weight
    xs = tir.local(GROUP)
    _load_x(kernel, 0, group * GROUP, xs)
    sums = tir.zeros(LANES)
    for word in range(weight.words_per_group):
        words = weight.words(quad, group, word)
        for part in range(weight.parts):
            product = weight.stored(words, part, "float32") * tir.splat(
                tir.load(xs, weight.column_of(word, part)), LANES
            )
            sums = tir.bind(sums + product)
    # All weights are stored with an offset: one correction instead of one for each.
    if weight.offset:
        added = tir.load(xs, 0)
        for column in range(1, GROUP):
            added = added + tir.load(xs, column)
        offset = tir.bind(added * tir.const(weight.offset))
        sums = sums - tir.splat(offset, LANES)
    scaled = sums * weight.scales(quad, group)
    tir.store(total, 0, tir.load(total, 0, LANES) + scaled, LANES)


def _add_columns(kernel: Kernel, quad: Value, step: Value, total: Buffer) -> None:
    """Adds the products of 16 columns of four rows that are not quantized to `total`."""
    with tir.serial(PIECE) as index:
        column = tir.bind(step * PIECE + index)
        with tir.when(column < kernel.shape.columns):
            product = kernel.weight.column(quad, column) * tir.splat(
                tir.load(kernel.x, (0, column)), LANES
            )
            tir.store(total, 0, tir.load(total, 0, LANES) + product, LANES)


def _load_x(kernel: Kernel, token: Value, first: Value, to: Buffer) -> None:
    """Fills `to` with activations of a token from `first` on; zero beyond the last column."""
    columns, count = kernel.shape.columns, int(to.shape[0])
    # Whole groups are read: with 80 columns the third group has a second half that is not there.
    if columns % GROUP == 0:
        for start in range(0, count, LANES):
            tir.store(to, start, tir.load(kernel.x, (token, first + start), LANES), LANES)
        return
    for index in range(count):
        tir.store(to, index, tir.const(0.0))
        with tir.when(first + index < columns):
            tir.store(to, index, tir.load(kernel.x, (token, first + index)))


def _many_tokens(kernel: Kernel) -> None:
    tuning, weight = kernel.tuning, kernel.weight
    each = tuning.tokens_per_thread
    tile = _Tile(
        kernel=kernel,
        rows=tuning.matrix_rows,
        tokens=tuning.matrix_tokens * each,
        fast=kernel.arithmetic.fast if weight.fmt.is_quantized else "float32",
    )
    tiles = (kernel.n + (tile.tokens - 1)) // tile.tokens
    groups = (-(-weight.row_quads // tile.rows), tiles)
    threads = (tuning.matrix_rows, tuning.matrix_tokens)
    with gpu.launch(groups, threads) as (row_block, token_block, row, column):
        staged = _Staged(
            weights=gpu.shared(GROUP * tile.rows * LANES, tile.fast),
            activations=gpu.shared(GROUP * tile.tokens, tile.fast),
            scales=gpu.shared(GROUP // PIECE * tile.tokens),
        )
        thread = tir.bind(column * tile.rows + row)
        first_quad = tir.bind(row_block * tile.rows)
        first_token = tir.bind(tir.cast(token_block, "int32", 1) * tile.tokens)
        quad = tir.bind(tir.minimum(first_quad + row, weight.row_quads - 1))
        total = tir.local(each * LANES)
        for token in range(each):
            tir.store(total, token * LANES, tir.zeros(LANES), LANES)
        with tir.serial(weight.groups) as group:
            tile.load_weights(thread, first_quad, group, staged.weights)
            tile.load_activations(thread, first_token, group, staged)
            gpu.barrier()
            tile.multiply((row, column), (quad, group), staged, total)
            gpu.barrier()
        for token in range(each):
            position = tir.bind(first_token + column * each + token)
            with tir.when((position < kernel.n) & (first_quad + row < weight.row_quads)):
                kernel.write(position, quad, total, token * LANES)


@dataclass(frozen=True)
class _Staged:
    """A tile in local memory: 32 columns of weights and of activations, and their scales."""

    weights: Buffer
    activations: Buffer
    scales: Buffer


@dataclass(frozen=True)
class _Tile:
    """`rows` quads of rows times `tokens` tokens, 32 columns at a time, as type `fast`."""

    kernel: Kernel
    rows: int
    tokens: int
    fast: str

    def _tasks(self, count: int) -> tuple[int, int]:
        threads = self.kernel.tuning.matrix_rows * self.kernel.tuning.matrix_tokens
        return -(-count // threads), threads

    def load_weights(self, thread: Value, first: Value, group: Value, to: Buffer) -> None:
        """[32 columns, row_quads, 4] into local memory; a task is one stored word of a quad."""
        weight, rows = self.kernel.weight, self.rows
        count = rows * weight.words_per_group
        rounds, threads = self._tasks(count)
        with tir.serial(rounds) as round_:
            task = tir.bind(round_ * threads + thread)
            with tir.when(task < count):
                row, word = tir.bind(task % rows), tir.bind(task // rows)
                quad = tir.bind(tir.minimum(first + row, weight.row_quads - 1))
                if weight.fmt.is_quantized:
                    words = weight.words(quad, group, word)
                    for part in range(weight.parts):
                        number = weight.stored(words, part, self.fast)
                        number = number - tir.const(weight.offset, self.fast, LANES)
                        column = weight.column_of(word, part)
                        tir.store(to, (column * rows + row) * LANES, number, LANES)
                    return
                for part in range(weight.parts):
                    column = tir.bind(word * weight.parts + part)
                    position = tir.bind(group * GROUP + column)
                    target = tir.bind((column * rows + row) * LANES)
                    tir.store(to, target, tir.zeros(LANES), LANES)
                    with tir.when(position < weight.shape.columns):
                        tir.store(to, target, weight.column(quad, position), LANES)

    def load_activations(self, thread: Value, first: Value, group: Value, to: _Staged) -> None:
        """[32 columns, tokens] into local memory; a task is 16 columns of a token."""
        count = self.tokens * (GROUP // PIECE)
        rounds, threads = self._tasks(count)
        with tir.serial(rounds) as round_:
            task = tir.bind(round_ * threads + thread)
            with tir.when(task < count):
                token, piece = tir.bind(task % self.tokens), tir.bind(task // self.tokens)
                last = tir.cast(self.kernel.n, "int32", 1) - 1
                source = tir.bind(tir.minimum(first + token, last))
                values = tir.local(PIECE)
                _load_x(self.kernel, source, group * GROUP + piece * PIECE, values)
                largest = tir.const(0.0)
                for index in range(PIECE):
                    number = tir.load(values, index)
                    largest = tir.bind(tir.maximum(largest, tir.maximum(number, -number)))
                inverse = tir.const(1.0)
                if self.kernel.weight.fmt.is_quantized:
                    tir.store(to.scales, piece * self.tokens + token, largest)
                    small = largest < tir.const(1e-30)
                    inverse = tir.bind(
                        tir.choose(
                            small,
                            tir.const(0.0),
                            tir.const(1.0) / tir.maximum(largest, tir.const(1e-30)),
                        )
                    )
                for index in range(PIECE):
                    number = tir.cast(tir.load(values, index) * inverse, self.fast, 1)
                    place = (piece * PIECE + index) * self.tokens + token
                    tir.store(to.activations, place, number)

    def multiply(
        self,
        thread: tuple[Value, Value],
        position: tuple[Value, Value],
        staged: _Staged,
        total: Buffer,
    ) -> None:
        """Adds the products of what is staged to the sums of a thread, by its row and column.

        `position`: its quad of rows, and the group.
        """
        row, column = thread
        each, fast = self.kernel.tuning.tokens_per_thread, self.fast
        quantized = self.kernel.weight.fmt.is_quantized
        first = column * each
        sums = tir.local(each * LANES)
        for token in range(each):
            tir.store(sums, token * LANES, tir.zeros(LANES), LANES)
        for piece in range(GROUP // PIECE):
            products = tir.local(each * LANES, fast)
            for token in range(each):
                tir.store(products, token * LANES, tir.zeros(LANES, fast), LANES)
            with tir.serial(PIECE) as index:
                step = tir.bind(index + piece * PIECE)
                weights = tir.bind(
                    tir.load(staged.weights, (step * self.rows + row) * LANES, LANES)
                )
                for token in range(each):
                    x = tir.load(staged.activations, step * self.tokens + first + token)
                    product = weights * tir.splat(x, LANES)
                    before = tir.load(products, token * LANES, LANES)
                    tir.store(products, token * LANES, before + product, LANES)
            for token in range(each):
                added = tir.cast(tir.load(products, token * LANES, LANES), "float32", LANES)
                if quantized:
                    scale = tir.load(staged.scales, piece * self.tokens + first + token)
                    added = added * tir.splat(scale, LANES)
                before = tir.load(sums, token * LANES, LANES)
                tir.store(sums, token * LANES, before + added, LANES)
        scales = self.kernel.weight.scales(*position) if quantized else None
        for token in range(each):
            added = tir.load(sums, token * LANES, LANES)
            if scales is not None:
                added = added * scales
            before = tir.load(total, token * LANES, LANES)
            tir.store(total, token * LANES, before + added, LANES)
