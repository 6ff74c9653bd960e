"""GPU operators on single tokens: RMSNorm (with residual), gated activations, rows, rotation."""

from __future__ import annotations

from functools import cache
from math import pi, sqrt

from tvm import tirx

from sphere_edge.compiler.kernels import gpu_tir as gpu
from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.elementwise import Norm, Table
from sphere_edge.compiler.kernels.gpu_tir import Arithmetic
from sphere_edge.compiler.kernels.gpu_tuning import Tuning
from sphere_edge.compiler.kernels.rope import Rotary
from sphere_edge.compiler.kernels.tir import PrimFunc, Value
from sphere_edge.quantization.weights import GROUP


@cache
def rms_norm(tuning: Tuning, norm: Norm) -> PrimFunc:
    """f(x, weight, y) or f(x, residual, weight, y, sum), all [n, columns] but weight [columns].

    A group of threads works on one row.
    """
    threads, columns = tuning.row_threads, norm.columns

    def body() -> None:
        n = 1 if norm.single else tir.symbol("n")
        x = tir.parameter("x", (n, columns), "float32")
        other = tir.parameter("residual", (n, columns), "float32") if norm.residual else None
        weight = tir.parameter("weight", (columns,), "float32")
        y = tir.parameter("y", (n, columns), "float32")
        added = tir.parameter("sum", (n, columns), "float32") if norm.residual else None

        with tir.code(), gpu.launch((n,), (threads,)) as (token, thread):
            squares = gpu.shared(threads)
            total = tir.local(1)
            tir.store(total, 0, tir.const(0.0))
            with tir.serial(-(-columns // threads)) as step:
                column = tir.bind(step * threads + thread)
                with tir.when(column < columns):
                    value = tir.load(x, (token, column))
                    if other is not None:
                        value = value + tir.load(other, (token, column))
                    value = tir.bind(value)
                    if added is not None:
                        tir.store(added, (token, column), value)
                    tir.store(total, 0, tir.load(total, 0) + value * value)
            tir.store(squares, thread, tir.load(total, 0))
            power = gpu.reduce_group(squares, thread, threads, lambda a, b: a + b)
            mean = power / tir.const(columns)
            scale = tir.bind(tir.const(1.0) / tir.sqrt(mean + tir.const(norm.epsilon)))
            # Each thread reads only what it has written itself.
            source = x if added is None else added
            with tir.serial(-(-columns // threads)) as step:
                column = tir.bind(step * threads + thread)
                with tir.when(column < columns):
                    value = tir.load(source, (token, column)) * scale
                    tir.store(y, (token, column), value * tir.load(weight, column))

    return tir.function(body)


@cache
def gated(tuning: Tuning, columns: int, single: bool, activation: str) -> PrimFunc:
    """f(gate_up [n, 2 columns], y [n, columns]): activation(gate) * up."""
    function = _ACTIVATIONS[activation]
    threads = tuning.row_threads

    def body() -> None:
        n = 1 if single else tir.symbol("n")
        gate_up = tir.parameter("gate_up", (n, 2 * columns), "float32")
        y = tir.parameter("y", (n, columns), "float32")
        groups = (-(-columns // threads), n)
        with tir.code(), gpu.launch(groups, (threads,)) as (block, token, thread):
            column = tir.bind(block * threads + thread)
            with tir.when(column < columns):
                gate = tir.bind(tir.load(gate_up, (token, column)))
                up = tir.load(gate_up, (token, columns + column))
                tir.store(y, (token, column), function(gate) * up)

    return tir.function(body)


def _silu(x: Value) -> Value:
    return x / (tir.const(1.0) + tirx.exp(-x))


def _gelu(x: Value) -> Value:
    return tir.const(0.5) * x * (tir.const(1.0) + tirx.erf(x * tir.const(sqrt(0.5))))


def _gelu_tanh(x: Value) -> Value:
    cubic = x + tir.const(0.044715) * x * x * x
    return tir.const(0.5) * x * (tir.const(1.0) + tirx.tanh(cubic * tir.const(sqrt(2 / pi))))


_ACTIVATIONS = {"silu": _silu, "gelu": _gelu, "gelu_tanh": _gelu_tanh}


@cache
def take(arithmetic: Arithmetic, tuning: Tuning, table: Table) -> PrimFunc:
    """f(token_ids int32 [n], packed weight…, y [n, columns]); ids out of range take an end."""
    threads, fmt, columns = tuning.row_threads, table.fmt, table.columns

    def body() -> None:
        n = 1 if table.single else tir.symbol("n")
        token_ids = tir.parameter("token_ids", (n,), "int32")
        weight = table.parameters()
        y = tir.parameter("y", (n, columns), "float32")

        def number(block: Value, lane: Value, column: Value) -> Value:
            if not fmt.is_quantized:
                return arithmetic.load(weight[0], (block, column, lane))
            group, inner = column // GROUP, column % GROUP
            scale = arithmetic.load(weight[1], (block, group, lane))
            if fmt.name == "q8":
                word = tir.load(weight[0], (block, group, inner // 4, lane))
                up = tir.bits(word << tir.cast(24 - inner % 4 * 8, "uint32", 1), "int32", 1)
                return tir.cast(up >> tir.const(24, "int32"), "float32", 1) * scale
            word = tir.load(weight[0], (block, group, inner % 16 // 4, lane))
            shift = tir.cast(inner % 4 * 8 + inner // 16 * 4, "uint32", 1)
            unsigned = (word >> shift) & tir.const(15, "uint32")
            return (tir.cast(unsigned, "float32", 1) - tir.const(8.0)) * scale

        groups = (-(-columns // threads), n)
        with tir.code(), gpu.launch(groups, (threads,)) as (part, token, thread):
            column = tir.bind(part * threads + thread)
            with tir.when(column < columns):
                block, lane = table.row_of(tir.load(token_ids, token))
                tir.store(y, (token, column), number(block, lane, column))

    return tir.function(body)


@cache
def rotate_and_store(arithmetic: Arithmetic, tuning: Tuning, rotary: Rotary) -> PrimFunc:
    """f(qkv, position, inverse_frequencies, K, V, q); K and V are written in place.

    qkv [n, (query_heads + 2 kv_heads) head_dim], q [n, query_heads, head_dim]. A group of threads
    works on one head of one token, a thread on single features of it.
    """
    return _rotation(arithmetic, tuning, rotary, batch=False)


@cache
def rotate_and_store_batch(arithmetic: Arithmetic, tuning: Tuning, rotary: Rotary) -> PrimFunc:
    """The same with position [n, 2], and in K and V the heads of all sequences.

    Frequencies for long texts follow the others where `rotary` has a switch.
    """
    return _rotation(arithmetic, tuning, rotary, batch=True)


def _rotation(arithmetic: Arithmetic, tuning: Tuning, rotary: Rotary, *, batch: bool) -> PrimFunc:
    spec, magnitude, cache_dtype = rotary.spec, rotary.magnitude, rotary.cache_dtype
    half = spec.rotary_dim // 2
    threads = tuning.row_threads
    rotated_heads = spec.query_heads + spec.kv_heads

    def body() -> None:
        n = 1 if rotary.single else tir.symbol("n")
        context = tir.symbol("context")
        heads = spec.query_heads + 2 * spec.kv_heads
        qkv = tir.parameter("qkv", (n, heads * spec.head_dim), "float32")
        position = tir.parameter("position", (n, 2) if batch else (1,), "int32")
        frequencies = rotary.frequencies(batch=batch)
        cached_heads = tir.symbol("cached_heads") if batch else spec.kv_heads
        cache_shape = (cached_heads, context, spec.head_dim)
        keys = tir.parameter("keys", cache_shape, cache_dtype)
        values = tir.parameter("values", cache_shape, cache_dtype)
        q = tir.parameter("q", (n, spec.query_heads, spec.head_dim), "float32")

        groups = (-(-spec.head_dim // threads), heads, n)
        with tir.code(), gpu.launch(groups, (threads,)) as (part, head, token, thread):
            feature = tir.bind(part * threads + thread)
            if batch:
                token_position = tir.bind(tir.load(position, (token, 0)))
                first_head = tir.bind(tir.load(position, (token, 1)) * spec.kv_heads)
            else:
                token_position = tir.bind(tir.load(position, 0) + tir.cast(token, "int32", 1))
                first_head = 0
            with tir.when(feature < spec.head_dim):
                first = tir.bind(head * spec.head_dim)
                number = tir.local(1)
                tir.store(number, 0, tir.load(qkv, (token, first + feature)))
                if frequencies is not None:
                    with tir.when((head < rotated_heads) & (feature < spec.rotary_dim)):
                        pair = tir.bind(feature // 2 if spec.interleaved else feature % half)
                        angle = tir.bind(
                            tir.cast(token_position, "float32", 1)
                            * frequencies.load(pair, token_position)
                        )
                        cosine = tir.cos(angle) * tir.const(magnitude)
                        sine = tir.sin(angle) * tir.const(magnitude)
                        if spec.interleaved:
                            is_first = tir.bind(feature % 2 == 0)
                            partner = feature + 1 - feature % 2 * 2
                        else:
                            is_first = tir.bind(feature < half)
                            partner = (feature + half) % spec.rotary_dim
                        other = tir.load(qkv, (token, first + partner))
                        signed = tir.choose(is_first, tir.const(0.0) - other, other)
                        rotated = tir.load(number, 0) * cosine + signed * sine
                        tir.store(number, 0, rotated)
                value = tir.bind(tir.load(number, 0))
                with tir.when(head < spec.query_heads):
                    tir.store(q, (token, head, feature), value)
                with tir.when((head >= spec.query_heads) & (head < rotated_heads)):
                    index = (first_head + (head - spec.query_heads), token_position, feature)
                    arithmetic.store(keys, index, value)
                with tir.when(head >= rotated_heads):
                    index = (first_head + (head - rotated_heads), token_position, feature)
                    arithmetic.store(values, index, value)

    return tir.function(body)
