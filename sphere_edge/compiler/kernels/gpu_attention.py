"""Attention on GPUs over the plain KV cache, in float32 whatever the type of the cache.

One new token: a group of threads takes one KV head and one stretch of the context, for all query
heads that share it; a second kernel merges the stretches (split softmax: Milakov and Gimelshein
2018). How long the text is only the GPU knows: groups beyond its end return at once.

Many new tokens: a group takes some queries of one KV head and goes over the keys a tile at a time
with a running maximum and sum (Dao et al. 2022, FlashAttention).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import gcd

from tvm import tirx

from sphere_edge.compiler.kernels import gpu_tir as gpu
from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.decode_attention import MASKED
from sphere_edge.compiler.kernels.gpu_tir import Arithmetic
from sphere_edge.compiler.kernels.gpu_tuning import Tuning
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.models.kernels import Attention

# Queries of a group; fewer where the features of a head are many.
_QUERIES = 16
_WIDE_HEAD = 128


def _capped(score: Value, spec: Attention) -> Value:
    if spec.softcap is None:
        return score
    return tirx.tanh(score * tir.const(1 / spec.softcap)) * tir.const(spec.softcap)


@cache
def stretches(
    arithmetic: Arithmetic, tuning: Tuning, spec: Attention, cache_dtype: str
) -> PrimFunc:
    """f(q [1, query_heads, head_dim], position [1], K, V, partial, largest, total).

    partial [stretches, query_heads, head_dim]: outputs that are not normalized; largest and total
    [stretches, query_heads]: largest score, and sum of exp(score - largest).
    """
    group = spec.query_heads // spec.kv_heads
    stretch, threads = tuning.stretch, tuning.attention_threads
    lanes = gcd(spec.head_dim, 4)

    def body() -> None:
        context = tir.symbol("context")
        count = (context + (stretch - 1)) // stretch
        q = tir.parameter("q", (1, spec.query_heads, spec.head_dim), "float32")
        position = tir.parameter("position", (1,), "int32")
        cache_shape = (spec.kv_heads, context, spec.head_dim)
        keys = tir.parameter("keys", cache_shape, cache_dtype)
        values = tir.parameter("values", cache_shape, cache_dtype)
        partial = tir.parameter("partial", (count, spec.query_heads, spec.head_dim), "float32")
        largest = tir.parameter("largest", (count, spec.query_heads), "float32")
        total = tir.parameter("total", (count, spec.query_heads), "float32")

        launch = gpu.launch((count, spec.kv_heads), (threads,))
        with tir.code(), launch as (number, kv_head, thread):
            queries = gpu.shared(group * spec.head_dim)
            scores = gpu.shared(group * stretch)
            tops = gpu.shared(group)
            end = tir.bind(tir.load(position, 0) + 1)
            first = tir.bind(_start(spec, end) + tir.cast(number, "int32", 1) * stretch)
            head = tir.bind(kv_head * group)
            with tir.when(first < end):
                here = tir.bind(tir.minimum(end - first, stretch))
                with gpu.share(group * spec.head_dim, thread, threads) as index:
                    value = tir.load(q, (0, head + index // spec.head_dim, index % spec.head_dim))
                    tir.store(queries, index, value * tir.const(spec.scale))
                gpu.barrier()
                with tir.serial(-(-stretch // threads)) as turn:
                    key = tir.bind(turn * threads + thread)
                    with tir.when(key < here):
                        sums = tir.local(group * lanes)
                        for member in range(group):
                            tir.store(sums, member * lanes, tir.zeros(lanes), lanes)
                        with tir.serial(spec.head_dim // lanes) as part:
                            place = (kv_head, first + key, part * lanes)
                            row = arithmetic.load(keys, place, lanes)
                            for member in range(group):
                                at = member * spec.head_dim + part * lanes
                                product = tir.load(queries, at, lanes) * row
                                before = tir.load(sums, member * lanes, lanes)
                                tir.store(sums, member * lanes, before + product, lanes)
                        for member in range(group):
                            score = gpu.sum_lanes(sums, member * lanes, lanes)
                            tir.store(scores, member * stretch + key, _capped(score, spec))
                gpu.barrier()
                with gpu.share(group, thread, threads) as member:
                    top = tir.local(1)
                    tir.store(top, 0, tir.const(MASKED))
                    with tir.serial(here) as key:
                        score = tir.load(scores, member * stretch + key)
                        tir.store(top, 0, tir.maximum(tir.load(top, 0), score))
                    tir.store(tops, member, tir.load(top, 0))
                    tir.store(largest, (number, head + member), tir.load(top, 0))
                gpu.barrier()
                scored = gpu.share(group * stretch, thread, threads)
                with scored as index, tir.when(index % stretch < here):
                    score = tir.load(scores, index) - tir.load(tops, index // stretch)
                    tir.store(scores, index, tirx.exp(score))
                gpu.barrier()
                with gpu.share(group, thread, threads) as member:
                    added = tir.local(1)
                    tir.store(added, 0, tir.const(0.0))
                    with tir.serial(here) as key:
                        weight = tir.load(scores, member * stretch + key)
                        tir.store(added, 0, tir.load(added, 0) + weight)
                    tir.store(total, (number, head + member), tir.load(added, 0))
                with gpu.share(spec.head_dim, thread, threads) as feature:
                    outputs = tir.local(group)
                    for member in range(group):
                        tir.store(outputs, member, tir.const(0.0))
                    with tir.serial(here) as key:
                        value = arithmetic.load(values, (kv_head, first + key, feature))
                        for member in range(group):
                            weight = tir.load(scores, member * stretch + key)
                            before = tir.load(outputs, member)
                            tir.store(outputs, member, before + weight * value)
                    for member in range(group):
                        place = (number, head + member, feature)
                        tir.store(partial, place, tir.load(outputs, member))

    return tir.function(body)


@cache
def merge(tuning: Tuning, spec: Attention) -> PrimFunc:
    """f(position [1], partial, largest, total, y [1, query_heads head_dim]); see `stretches`."""
    threads = tuning.attention_threads

    def body() -> None:
        count = tir.symbol("count")
        position = tir.parameter("position", (1,), "int32")
        partial = tir.parameter("partial", (count, spec.query_heads, spec.head_dim), "float32")
        largest = tir.parameter("largest", (count, spec.query_heads), "float32")
        total = tir.parameter("total", (count, spec.query_heads), "float32")
        y = tir.parameter("y", (1, spec.query_heads * spec.head_dim), "float32")
        groups = (-(-spec.head_dim // threads), spec.query_heads)
        with tir.code(), gpu.launch(groups, (threads,)) as (part, head, thread):
            feature = tir.bind(part * threads + thread)
            with tir.when(feature < spec.head_dim):
                end = tir.bind(tir.load(position, 0) + 1)
                seen = end - _start(spec, end)
                used = tir.bind((seen + (tuning.stretch - 1)) // tuning.stretch)
                state = tir.local(3)
                tir.store(state, 0, tir.const(MASKED))
                with tir.serial(used) as number:
                    top = tir.load(largest, (number, head))
                    tir.store(state, 0, tir.maximum(tir.load(state, 0), top))
                tir.store(state, 1, tir.const(0.0))
                tir.store(state, 2, tir.const(0.0))
                with tir.serial(used) as number:
                    top = tir.load(largest, (number, head))
                    factor = tir.bind(tirx.exp(top - tir.load(state, 0)))
                    added = tir.load(total, (number, head)) * factor
                    tir.store(state, 1, tir.load(state, 1) + added)
                    value = tir.load(partial, (number, head, feature)) * factor
                    tir.store(state, 2, tir.load(state, 2) + value)
                value = tir.load(state, 2) / tir.load(state, 1)
                tir.store(y, (0, head * spec.head_dim + feature), value)

    return tir.function(body)


def _start(spec: Attention, end: Value) -> Value:
    """The first key that the token before `end` sees."""
    if spec.window is None:
        return tir.const(0, "int32")
    return tir.bind(tir.maximum(tir.const(0, "int32"), end - spec.window))


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
    def turns(self) -> int:
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
        outputs = tir.local(self.turns * lanes)
        for turn in range(self.turns):
            tir.store(outputs, turn * lanes, tir.zeros(lanes), lanes)
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
        for turn in range(self.turns):
            index = tir.bind(self.thread + turn * self.threads)
            row, part = tir.bind(index // self.parts), tir.bind(index % self.parts)
            with tir.when((row < self.rows) & (self.first + row < self.queries)):
                query = tir.bind(self.first + row)
                head = self.kv_head * self.group + query % self.group
                inverse = tir.bind(tir.const(1.0) / tir.load(self.total, row))
                value = tir.load(outputs, turn * lanes, lanes) * tir.splat(inverse, lanes)
                place = (query // self.group, head * dim + part * lanes)
                tir.store(y, place, value, lanes)

    def _load(self, cache: Buffer, key: Value, end: Value) -> None:
        """Keys or values from `key` on into `tile`; those from `end` on repeat the last."""
        lanes = self.lanes
        with gpu.share(self.keys * self.parts, self.thread, self.threads) as index:
            row, part = tir.bind(index // self.parts), tir.bind(index % self.parts)
            place = (self.kv_head, tir.minimum(key + row, end - 1), part * lanes)
            value = self.arithmetic.load(cache, place, lanes)
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
            score = tir.bind(_capped(gpu.sum_lanes(sums, 0, lanes), self.spec))
            place, own = tir.bind(first + key), self._position(row)
            sees = place <= own
            if self.spec.window is not None:
                sees = sees & (place > own - self.spec.window)
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
                # A whole tile may be masked: then `largest` is no score, and nothing has weight.
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
        for turn in range(self.turns):
            index = tir.bind(self.thread + turn * self.threads)
            row = tir.bind(tir.minimum(index // self.parts, self.rows - 1))
            part = tir.bind(index % self.parts)
            factor = tir.bind(tir.load(self.factor, row))
            before = tir.load(outputs, turn * lanes, lanes)
            tir.store(outputs, turn * lanes, before * tir.splat(factor, lanes), lanes)
            with tir.serial(self.keys) as key:
                weight = tir.bind(tir.load(self.scores, row * self.keys + key))
                product = self._row(key, part) * tir.splat(weight, lanes)
                before = tir.load(outputs, turn * lanes, lanes)
                tir.store(outputs, turn * lanes, before + product, lanes)
