"""Attention of many new tokens on GPUs, in float32 whatever the type of the KV cache.

A group takes some queries of one KV head and goes over the keys a tile at a time with a running
maximum and sum (Dao et al. 2022, FlashAttention).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import gcd

from tvm import tirx

from sphere_edge.compiler.kernels import gpu_tir as gpu
from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.decode_attention import MASKED
from sphere_edge.compiler.kernels.gpu_decode_attention import capped
from sphere_edge.compiler.kernels.gpu_tir import Arithmetic
from sphere_edge.compiler.kernels.gpu_tuning import Tuning
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.models.kernels import Attention

# Queries of a group; fewer where the features of a head are many.
_QUERIES = 16
_WIDE_HEAD = 128


@cache
def prefill_attention(
    arithmetic: Arithmetic, tuning: Tuning, spec: Attention, cache_dtype: str
) -> PrimFunc:
    """f(q [n, query_heads, head_dim], position [1], K, V, y [n, query_heads head_dim])."""
    rows = _QUERIES if spec.head_dim <= _WIDE_HEAD else _QUERIES // 2
    group = spec.query_heads // spec.kv_heads

    def body() -> None:
        n, context = tir.symbol("n"), tir.symbol("context")
        q = tir.parameter("q", (n, spec.query_heads, spec.head_dim), "float32")
        position = tir.parameter("position", (1,), "int32")
        cache_shape = (spec.kv_heads, context, spec.head_dim)
        keys = tir.parameter("keys", cache_shape, cache_dtype)
        values = tir.parameter("values", cache_shape, cache_dtype)
        y = tir.parameter("y", (n, spec.query_heads * spec.head_dim), "float32")
        groups = ((n * group + (rows - 1)) // rows, spec.kv_heads)
        launch = gpu.launch(groups, (tuning.attention_threads,))
        with tir.code(), launch as (number, kv_head, thread):
            block = _Block(
                arithmetic=arithmetic,
                tuning=tuning,
                spec=spec,
                rows=rows,
                thread=thread,
                kv_head=kv_head,
                first=tir.bind(tir.cast(number, "int32", 1) * rows),
                queries=tir.bind(tir.cast(n, "int32", 1) * group),
                start=tir.bind(tir.load(position, 0)),
                q=gpu.shared(rows * spec.head_dim),
                tile=gpu.shared(tuning.attention_keys * spec.head_dim, arithmetic.fast),
                scores=gpu.shared(rows * tuning.attention_keys),
                largest=gpu.shared(rows),
                total=gpu.shared(rows),
                factor=gpu.shared(rows),
            )
            block.run(q, keys, values, y)

    return tir.function(body)


@dataclass(frozen=True)
class _Block:
    """Queries first … first + rows - 1 of the `queries` of one KV head.

    Query r is that of head r % group of token r // group. Buffers are the work group's.
    """

    arithmetic: Arithmetic
    tuning: Tuning
    spec: Attention
    rows: int
    thread: Value
    kv_head: Value
    first: Value
    queries: Value
    # Position of the first token of the call.
    start: Value
    # [rows, head_dim]
    q: Buffer
    # [keys, head_dim], of K and then of V.
    tile: Buffer
    # [rows, keys]
    scores: Buffer
    # [rows]: largest score and sum of exponentials so far, and the rescaling of this step.
    largest: Buffer
    total: Buffer
    factor: Buffer

    @property
    def group(self) -> int:
        return self.spec.query_heads // self.spec.kv_heads

    @property
    def keys(self) -> int:
        return self.tuning.attention_keys

    @property
    def threads(self) -> int:
        return self.tuning.attention_threads

    @property
    def lanes(self) -> int:
        return gcd(self.spec.head_dim, 4)

    @property
    def parts(self) -> int:
        """Vectors of a head."""
        return self.spec.head_dim // self.lanes

    @property
    def rounds(self) -> int:
        """Vectors of the output that a thread works on."""
        return -(-self.rows * self.parts // self.threads)

    def _query(self, row: Value) -> Value:
        """Its number among the queries; rows beyond the last repeat it."""
        return tir.bind(tir.minimum(self.first + row, self.queries - 1))

    def _position(self, row: Value) -> Value:
        return tir.bind(self.start + self._query(row) // self.group)

    def run(self, q: Buffer, keys: Buffer, values: Buffer, y: Buffer) -> None:
        """All of the kernel."""
        lanes, dim = self.lanes, self.spec.head_dim
        with gpu.share(self.rows * self.parts, self.thread, self.threads) as index:
            row, part = tir.bind(index // self.parts), tir.bind(index % self.parts)
            query = self._query(row)
            head = self.kv_head * self.group + query % self.group
            value = tir.load(q, (query // self.group, head, part * lanes), lanes)
            scaled = value * tir.const(self.spec.scale, lanes=lanes)
            tir.store(self.q, row * dim + part * lanes, scaled, lanes)
        with gpu.share(self.rows, self.thread, self.threads) as row:
            tir.store(self.largest, row, tir.const(MASKED))
            tir.store(self.total, row, tir.const(0.0))
        outputs = tir.local(self.rounds * lanes)
        for step in range(self.rounds):
            tir.store(outputs, step * lanes, tir.zeros(lanes), lanes)
        gpu.barrier()
        end = tir.bind(self._position(tir.const(self.rows - 1, "int32")) + 1)
        begin = tir.const(0, "int32")
        if self.spec.window is not None:
            first = self._position(tir.const(0, "int32"))
            begin = tir.bind(tir.maximum(begin, first + 1 - self.spec.window))
        with tir.serial((end - begin + (self.keys - 1)) // self.keys) as step:
            key = tir.bind(begin + tir.cast(step, "int32", 1) * self.keys)
            self._load(keys, key, end)
            gpu.barrier()
            self._score(key)
            gpu.barrier()
            self._exponentiate()
            # Not needed, but PoCL 3.1 forgets the step before a loop that follows it directly.
            gpu.barrier()
            self._load(values, key, end)
            gpu.barrier()
            self._weigh(outputs)
            gpu.barrier()
        for step in range(self.rounds):
            index = tir.bind(self.thread + step * self.threads)
            row, part = tir.bind(index // self.parts), tir.bind(index % self.parts)
            with tir.when((row < self.rows) & (self.first + row < self.queries)):
                query = tir.bind(self.first + row)
                head = self.kv_head * self.group + query % self.group
                inverse = tir.bind(tir.const(1.0) / tir.load(self.total, row))
                value = tir.load(outputs, step * lanes, lanes) * tir.splat(inverse, lanes)
                element = (query // self.group, head * dim + part * lanes)
                tir.store(y, element, value, lanes)

    def _load(self, cache: Buffer, key: Value, end: Value) -> None:
        """Keys or values from `key` on into `tile`; those from `end` on repeat the last."""
        lanes = self.lanes
        with gpu.share(self.keys * self.parts, self.thread, self.threads) as index:
            row, part = tir.bind(index // self.parts), tir.bind(index % self.parts)
            element = (self.kv_head, tir.minimum(key + row, end - 1), part * lanes)
            value = self.arithmetic.load(cache, element, lanes)
            at = row * self.spec.head_dim + part * lanes
            tir.store(self.tile, at, tir.cast(value, self.arithmetic.fast, lanes), lanes)

    def _row(self, row: Value, part: Value) -> Value:
        """A vector of `tile` as float32."""
        value = tir.load(self.tile, row * self.spec.head_dim + part * self.lanes, self.lanes)
        return tir.cast(value, "float32", self.lanes)

    def _score(self, first: Value) -> None:
        """Dot products of every query with every key of the tile; masked where it must not see."""
        lanes = self.lanes
        with gpu.share(self.rows * self.keys, self.thread, self.threads) as index:
            row, key = tir.bind(index // self.keys), tir.bind(index % self.keys)
            sums = tir.local(lanes)
            tir.store(sums, 0, tir.zeros(lanes), lanes)
            with tir.serial(self.parts) as part:
                at = row * self.spec.head_dim + part * lanes
                product = tir.load(self.q, at, lanes) * self._row(key, part)
                tir.store(sums, 0, tir.load(sums, 0, lanes) + product, lanes)
            score = tir.bind(capped(gpu.sum_lanes(sums, 0, lanes), self.spec))
            key_position, own = tir.bind(first + key), self._position(row)
            sees = key_position <= own
            if self.spec.window is not None:
                sees = sees & (key_position > own - self.spec.window)
            tir.store(self.scores, index, tir.choose(sees, score, tir.const(MASKED)))

    def _exponentiate(self) -> None:
        """Scores become exp(score - largest so far); a thread takes a whole row."""
        with gpu.share(self.rows, self.thread, self.threads) as row:
            before = tir.bind(tir.load(self.largest, row))
            state = tir.local(2)
            tir.store(state, 0, before)
            with tir.serial(self.keys) as key:
                score = tir.load(self.scores, row * self.keys + key)
                tir.store(state, 0, tir.maximum(tir.load(state, 0), score))
            tir.store(state, 1, tir.const(0.0))
            with tir.serial(self.keys) as key:
                at = tir.bind(row * self.keys + key)
                score = tir.bind(tir.load(self.scores, at))
                # A whole tile may be masked: then `largest` is not a score, and no key has weight.
                weight = tir.bind(
                    tir.choose(
                        score <= tir.const(MASKED),
                        tir.const(0.0),
                        tirx.exp(score - tir.load(state, 0)),
                    )
                )
                tir.store(self.scores, at, weight)
                tir.store(state, 1, tir.load(state, 1) + weight)
            factor = tir.bind(tirx.exp(before - tir.load(state, 0)))
            tir.store(self.factor, row, factor)
            tir.store(self.largest, row, tir.load(state, 0))
            tir.store(self.total, row, tir.load(self.total, row) * factor + tir.load(state, 1))

    def _weigh(self, outputs: Buffer) -> None:
        """Adds the values of the tile, weighted by the scores, to the thread's outputs."""
        lanes = self.lanes
        for step in range(self.rounds):
            index = tir.bind(self.thread + step * self.threads)
            row = tir.bind(tir.minimum(index // self.parts, self.rows - 1))
            part = tir.bind(index % self.parts)
            factor = tir.bind(tir.load(self.factor, row))
            before = tir.load(outputs, step * lanes, lanes)
            tir.store(outputs, step * lanes, before * tir.splat(factor, lanes), lanes)
            with tir.serial(self.keys) as key:
                weight = tir.bind(tir.load(self.scores, row * self.keys + key))
                product = self._row(key, part) * tir.splat(weight, lanes)
                before = tir.load(outputs, step * lanes, lanes)
                tir.store(outputs, step * lanes, before + product, lanes)
