"""Attention of many new tokens over the cache, blocked so that nothing of size n x context is kept.

Lanes are queries: a block holds `rows` queries of one KV head (token by token, its query heads side
by side), transposed once, so that scores, softmax and sums need no operation across lanes:

    scores[key]    [rows] += K[key, d] (one number) * queries[d] [rows]
    outputs[d]     [rows] += V[key, d] (one number) * weights[key] [rows]

Keys are taken _KEYS at a time with a running maximum and sum (Dao et al. 2022, FlashAttention).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sphere_edge.compiler.kernels import arithmetic, tir
from sphere_edge.compiler.kernels.decode_attention import MASKED, read_cache, softcapped
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.models.kernels import Attention

# Keys per step; their scores stay in the first-level cache.
_KEYS = 32
# Keys, or features of the output, whose sums are in registers at once.
_TOGETHER = 4


@cache
def prefill_attention(isa: Isa, spec: Attention, cache_dtype: str) -> PrimFunc:
    """f(q [n, query_heads, head_dim], position [1], K, V, sinks?, y [n, query_heads head_dim])."""
    group = spec.query_heads // spec.kv_heads
    rows = isa.lanes * (isa.sums // _TOGETHER)

    def body() -> None:
        n, context = tir.symbol("n"), tir.symbol("context")
        q = tir.parameter("q", (n, spec.query_heads, spec.head_dim), "float32")
        position = tir.parameter("position", (1,), "int32")
        cache_shape = (spec.kv_heads, context, spec.head_dim)
        keys = tir.parameter("keys", cache_shape, cache_dtype)
        values = tir.parameter("values", cache_shape, cache_dtype)
        sinks = tir.parameter("sinks", (spec.query_heads,), "float32") if spec.sinks else None
        y = tir.parameter("y", (n, spec.query_heads * spec.head_dim), "float32")

        with tir.code():
            start = tir.bind(tir.load(position, 0))
            queries = tir.bind(tir.cast(n, "int32", 1) * group)
            blocks = tir.bind((queries + (rows - 1)) // rows)
            with tir.parallel(blocks * spec.kv_heads) as task:
                # The last blocks see the most keys: first come, so that no thread ends late.
                number = blocks - 1 - task // spec.kv_heads
                block = _Block(
                    isa=isa,
                    spec=spec,
                    rows=rows,
                    kv_head=tir.bind(task % spec.kv_heads),
                    first=tir.bind(number * rows),
                    queries=queries,
                    limits=tir.local(rows, "int32"),
                    transposed=tir.local(spec.head_dim * rows),
                    outputs=tir.local(spec.head_dim * rows),
                    scores=tir.local(_KEYS * rows),
                    largest=tir.local(rows),
                    total=tir.local(rows),
                    factor=tir.local(rows),
                )
                block.prepare(q, start, sinks)
                block.attend(keys, values, start)
                block.finish(y)

    return tir.function(body)


@dataclass(frozen=True)
class _Block:
    """Queries first..first+rows-1 of the `queries` of one KV head.

    Query r is that of head r % group of token r // group.
    """

    isa: Isa
    spec: Attention
    rows: int
    kv_head: Value
    first: Value
    queries: Value
    # Position of each query: it sees the keys up to there.
    limits: Buffer
    # [head_dim, rows]
    transposed: Buffer
    outputs: Buffer
    # [_KEYS, rows]
    scores: Buffer
    # [rows]: largest score and sum of exponentials of all keys so far; rescaling of this step.
    largest: Buffer
    total: Buffer
    factor: Buffer

    @property
    def group(self) -> int:
        return self.spec.query_heads // self.spec.kv_heads

    @property
    def vectors(self) -> range:
        """Offsets of the vectors of a row of `rows` numbers."""
        return range(0, self.rows, self.isa.lanes)

    def prepare(self, q: Buffer, start: Value, sinks: Buffer | None) -> None:
        """Transposes and scales the queries; those beyond the last repeat it.

        A sink is a first key, which has a score and no value.
        """
        lanes = self.isa.lanes
        with tir.serial(self.rows) as row:
            query = tir.bind(tir.minimum(self.first + row, self.queries - 1))
            token = tir.bind(query // self.group)
            head = tir.bind(self.kv_head * self.group + query % self.group)
            tir.store(self.limits, row, start + token)
            first = tir.const(MASKED) if sinks is None else tir.load(sinks, head)
            tir.store(self.largest, row, first)
            tir.store(self.total, row, tir.const(0.0 if sinks is None else 1.0))
            with tir.serial(self.spec.head_dim) as feature:
                value = tir.load(q, (token, head, feature)) * tir.const(self.spec.scale)
                tir.store(self.transposed, feature * self.rows + row, value)
        with tir.serial(self.spec.head_dim) as feature:
            for vector in self.vectors:
                tir.store(self.outputs, feature * self.rows + vector, tir.zeros(lanes), lanes)

    def attend(self, keys: Buffer, values: Buffer, start: Value) -> None:
        """Goes through all keys that any query of the block sees."""
        last = tir.minimum(self.first + (self.rows - 1), self.queries - 1)
        end = tir.bind(start + last // self.group + 1)
        begin = tir.const(0, "int32")
        if self.spec.window is not None:
            oldest = start + self.first // self.group - (self.spec.window - 1)
            begin = tir.bind(tir.maximum(begin, oldest))
        with tir.serial((end - begin + (_KEYS - 1)) // _KEYS) as step:
            key = tir.bind(begin + step * _KEYS)
            self._score(self._floats(keys, key, end), key)
            self._softmax()
            self._weigh(self._floats(values, key, end))

    def _floats(self, cache: Buffer, key: Value, end: Value) -> Buffer:
        """_KEYS rows of the cache as float32 [_KEYS, head_dim]; those beyond the last repeat it."""
        size = self.spec.head_dim
        lanes = self.isa.divisor_lanes(size)
        tile = tir.local(_KEYS * size)
        with tir.serial(_KEYS) as row:
            source = tir.bind(tir.minimum(key + row, end - 1))
            for feature in range(0, size, lanes):
                value = read_cache(self.isa, cache, (self.kv_head, source, feature), lanes)
                tir.store(tile, row * size + feature, value, lanes)
        return tile

    def _score(self, keys: Buffer, first: Value) -> None:
        lanes, size = self.isa.lanes, self.spec.head_dim
        with tir.serial(_KEYS // _TOGETHER) as step:
            sums = self._sums()
            with tir.serial(size) as feature:
                queries = [
                    tir.bind(tir.load(self.transposed, feature * self.rows + vector, lanes))
                    for vector in self.vectors
                ]
                for member in range(_TOGETHER):
                    number = tir.load(keys, (step * _TOGETHER + member) * size + feature)
                    self._add(sums, member, tir.bind(number), queries)
            for member in range(_TOGETHER):
                key = tir.bind(first + step * _TOGETHER + member)
                for vector in self.vectors:
                    score = tir.bind(tir.load(sums, member * self.rows + vector, lanes))
                    if self.spec.softcap is not None:
                        score = softcapped(score, self.spec.softcap, lanes)
                    seen = self._seen(key, vector, score)
                    at = (step * _TOGETHER + member) * self.rows + vector
                    tir.store(self.scores, at, seen, lanes)

    def _seen(self, key: Value, vector: int, score: Value) -> Value:
        """The score where the query may see the key."""
        lanes = self.isa.lanes
        limit = tir.load(self.limits, vector, lanes)
        masked = tir.const(MASKED, lanes=lanes)
        seen = tir.choose(tir.splat(key, lanes) <= limit, score, masked)
        if self.spec.window is not None:
            recent = tir.splat(key + self.spec.window, lanes) > limit
            seen = tir.choose(recent, seen, masked)
        return seen

    def _softmax(self) -> None:
        """Scores become exp(score - largest so far); the sums so far are rescaled by `factor`."""
        lanes = self.isa.lanes
        for vector in self.vectors:
            state = tir.local(lanes)
            before = tir.bind(tir.load(self.largest, vector, lanes))
            tir.store(state, 0, before, lanes)
            with tir.serial(_KEYS) as key:
                score = tir.load(self.scores, key * self.rows + vector, lanes)
                tir.store(state, 0, tir.maximum(tir.load(state, 0, lanes), score), lanes)
            highest = tir.bind(tir.load(state, 0, lanes))
            factor = arithmetic.exp(before - highest, lanes)
            tir.store(self.largest, vector, highest, lanes)
            tir.store(self.factor, vector, factor, lanes)
            tir.store(state, 0, tir.load(self.total, vector, lanes) * factor, lanes)
            with tir.serial(_KEYS) as key:
                at = key * self.rows + vector
                weight = arithmetic.exp(tir.load(self.scores, at, lanes) - highest, lanes)
                tir.store(self.scores, at, weight, lanes)
                tir.store(state, 0, tir.load(state, 0, lanes) + weight, lanes)
            tir.store(self.total, vector, tir.load(state, 0, lanes), lanes)

    def _weigh(self, values: Buffer) -> None:
        lanes, size = self.isa.lanes, self.spec.head_dim
        factors = [tir.bind(tir.load(self.factor, vector, lanes)) for vector in self.vectors]
        together = _TOGETHER if size % _TOGETHER == 0 else 1
        with tir.serial(size // together) as step:
            sums = self._sums()
            for member in range(together):
                at = (step * together + member) * self.rows
                for vector, factor in zip(self.vectors, factors, strict=True):
                    before = tir.load(self.outputs, at + vector, lanes) * factor
                    tir.store(sums, member * self.rows + vector, before, lanes)
            with tir.serial(_KEYS) as key:
                weights = [
                    tir.bind(tir.load(self.scores, key * self.rows + vector, lanes))
                    for vector in self.vectors
                ]
                for member in range(together):
                    number = tir.load(values, key * size + step * together + member)
                    self._add(sums, member, tir.bind(number), weights)
            for member in range(together):
                at = (step * together + member) * self.rows
                for vector in self.vectors:
                    value = tir.load(sums, member * self.rows + vector, lanes)
                    tir.store(self.outputs, at + vector, value, lanes)

    def _sums(self) -> Buffer:
        """Zeros for _TOGETHER rows, in registers."""
        sums = tir.local(_TOGETHER * self.rows)
        for vector in range(0, _TOGETHER * self.rows, self.isa.lanes):
            tir.store(sums, vector, tir.zeros(self.isa.lanes), self.isa.lanes)
        return sums

    def _add(self, sums: Buffer, member: int, number: Value, vectors: list[Value]) -> None:
        lanes = self.isa.lanes
        for offset, vector in zip(self.vectors, vectors, strict=True):
            at = member * self.rows + offset
            product = tir.splat(number, lanes) * vector
            tir.store(sums, at, tir.load(sums, at, lanes) + product, lanes)

    def finish(self, y: Buffer) -> None:
        """Divides by the sums of exponentials and writes the queries that exist."""
        size = self.spec.head_dim
        with tir.serial(tir.minimum(self.queries - self.first, self.rows)) as row:
            query = tir.bind(self.first + row)
            inverse = tir.bind(tir.const(1.0) / tir.load(self.total, row))
            head = tir.bind(self.kv_head * self.group + query % self.group)
            with tir.serial(size) as feature:
                value = tir.load(self.outputs, feature * self.rows + row) * inverse
                tir.store(y, (query // self.group, head * size + feature), value)
