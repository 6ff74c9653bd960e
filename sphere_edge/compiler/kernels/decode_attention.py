"""Attention of one new token each: a task takes one KV head and one split of the KV cache.

All query heads of the group read a key or value while it is in registers, so K and V are read once.
A split ends in unnormalized outputs, the largest score and the sum of exponentials of each head,
which are then merged (online softmax: Milakov and Gimelshein 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sphere_edge.compiler.kernels import arithmetic, tir
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.models.kernels import Attention

# Keys per task: small enough to occupy all threads early, large enough to pay for the merge.
_SPLIT_KEYS = 128
# Less than any score: such a key gets no weight.
MASKED = -1e30


@cache
def decode_attention(isa: Isa, spec: Attention, cache_dtype: str) -> PrimFunc:
    """f(q [1, query_heads, head_dim], position [1], K, V, sinks?, y [1, query_heads head_dim])."""
    heads = spec.query_heads

    def body() -> None:
        context = tir.symbol("context")
        q = tir.parameter("q", (1, heads, spec.head_dim), "float32")
        position = tir.parameter("position", (1,), "int32")
        cache_shape = (spec.kv_heads, context, spec.head_dim)
        keys = tir.parameter("keys", cache_shape, cache_dtype)
        values = tir.parameter("values", cache_shape, cache_dtype)
        sinks = tir.parameter("sinks", (heads,), "float32") if spec.sinks else None
        y = tir.parameter("y", (1, heads * spec.head_dim), "float32")

        with tir.code():
            kv_splits = (context + (_SPLIT_KEYS - 1)) // _SPLIT_KEYS
            results = _Results(
                partial=tir.scratch(kv_splits * (heads * spec.head_dim)),
                largest=tir.scratch(kv_splits * heads),
                total=tir.scratch(kv_splits * heads),
            )
            end = tir.bind(tir.load(position, 0) + 1)
            start = tir.const(0, "int32")
            if spec.window is not None:
                start = tir.bind(tir.maximum(start, end - spec.window))
            count = tir.bind((end - start + (_SPLIT_KEYS - 1)) // _SPLIT_KEYS)
            with tir.parallel(count * spec.kv_heads) as task:
                first = tir.bind(start + task // spec.kv_heads * _SPLIT_KEYS)
                kv_head = tir.bind(task % spec.kv_heads)
                split = _KvSplit(
                    isa=isa,
                    spec=spec,
                    kv_head=kv_head,
                    cached_head=kv_head,
                    first=first,
                    count=tir.bind(tir.minimum(end - first, _SPLIT_KEYS)),
                    scores=tir.local(spec.query_heads // spec.kv_heads * _SPLIT_KEYS),
                )
                base = tir.bind(task // spec.kv_heads * heads)
                split.score(q, 0, keys)
                split.exponentiate(base, results)
                split.weigh(values, base, results)
            _Merge(isa, spec, count, results, sinks).write(y, 0, 0)

    return tir.function(body)


@cache
def batch_attention(isa: Isa, spec: Attention, cache_dtype: str) -> PrimFunc:
    """f(q [n, query_heads, head_dim], position [n, 2], K, V, sinks?, y): a sequence per token.

    K and V hold the heads of all sequences. Each token is computed exactly as it is alone.
    """
    heads, kv_heads = spec.query_heads, spec.kv_heads

    def body() -> None:
        n, context = tir.symbol("n"), tir.symbol("context")
        q = tir.parameter("q", (n, heads, spec.head_dim), "float32")
        position = tir.parameter("position", (n, 2), "int32")
        cache_shape = (tir.symbol("cached_heads"), context, spec.head_dim)
        keys = tir.parameter("keys", cache_shape, cache_dtype)
        values = tir.parameter("values", cache_shape, cache_dtype)
        sinks = tir.parameter("sinks", (heads,), "float32") if spec.sinks else None
        y = tir.parameter("y", (n, heads * spec.head_dim), "float32")

        with tir.code():
            kv_splits = (context + (_SPLIT_KEYS - 1)) // _SPLIT_KEYS
            results = _Results(
                partial=tir.scratch(n * kv_splits * (heads * spec.head_dim)),
                largest=tir.scratch(n * kv_splits * heads),
                total=tir.scratch(n * kv_splits * heads),
            )

            def extent(token: Value) -> tuple[Value, Value, Value]:
                """The first key that a token sees, the end of its keys, and their splits."""
                end = tir.bind(tir.load(position, (token, 0)) + 1)
                start = tir.const(0, "int32")
                if spec.window is not None:
                    start = tir.bind(tir.maximum(start, end - spec.window))
                return start, end, tir.bind((end - start + (_SPLIT_KEYS - 1)) // _SPLIT_KEYS)

            most = tir.scratch(1, "int32")
            tir.store(most, 0, tir.const(0, "int32"))
            with tir.serial(n) as token:
                tir.store(most, 0, tir.maximum(tir.load(most, 0), extent(token)[2]))
            splits = tir.bind(tir.load(most, 0))
            with tir.parallel(tir.cast(n, "int32", 1) * splits * kv_heads) as task:
                token = tir.bind(task // (splits * kv_heads))
                number = tir.bind(task // kv_heads % splits)
                start, end, count = extent(token)
                with tir.when(number < count):
                    first = tir.bind(start + number * _SPLIT_KEYS)
                    kv_head = tir.bind(task % kv_heads)
                    split = _KvSplit(
                        isa=isa,
                        spec=spec,
                        kv_head=kv_head,
                        cached_head=tir.bind(tir.load(position, (token, 1)) * kv_heads + kv_head),
                        first=first,
                        count=tir.bind(tir.minimum(end - first, _SPLIT_KEYS)),
                        scores=tir.local(heads // kv_heads * _SPLIT_KEYS),
                    )
                    base = tir.bind((token * splits + number) * heads)
                    split.score(q, token, keys)
                    split.exponentiate(base, results)
                    split.weigh(values, base, results)
            with tir.parallel(n) as token:
                _, _, count = extent(token)
                first_split = tir.bind(tir.cast(token, "int32", 1) * splits)
                _Merge(isa, spec, count, results, sinks).write(y, token, first_split)

    return tir.function(body)


@dataclass(frozen=True)
class _Results:
    """Of each split and head: unnormalized output, largest score, sum of exponentials."""

    partial: Buffer
    largest: Buffer
    total: Buffer


@dataclass(frozen=True)
class _KvSplit:
    """Keys first..first+count-1 of one KV head, for the query heads that share it.

    `cached_head` is where the cache has it.
    """

    isa: Isa
    spec: Attention
    kv_head: Value
    cached_head: Value
    first: Value
    count: Value
    # [group, _SPLIT_KEYS]
    scores: Buffer

    @property
    def group(self) -> int:
        return self.spec.query_heads // self.spec.kv_heads

    @property
    def lanes(self) -> int:
        """Lanes along head_dim."""
        return self.isa.divisor_lanes(self.spec.head_dim)

    def score(self, q: Buffer, token: Value, keys: Buffer) -> None:
        """Dot products of every query of the group with every key, for a token of `q`."""
        lanes, chunks = self.lanes, self.spec.head_dim // self.lanes
        with tir.serial(self.group * _SPLIT_KEYS // self.isa.lanes) as step:
            masked = tir.const(MASKED, lanes=self.isa.lanes)
            tir.store(self.scores, step * self.isa.lanes, masked, self.isa.lanes)
        with tir.serial(self.count) as index:
            key = [self._row(keys, index, chunk * lanes, lanes) for chunk in range(chunks)]
            for head in range(self.group):
                query = self.kv_head * self.group + head
                product = None
                for chunk in range(chunks):
                    term = tir.load(q, (token, query, chunk * lanes), lanes) * key[chunk]
                    product = term if product is None else tir.bind(product + term)
                score = tir.fold(tir.bind(product), lanes, lambda a, b: a + b)
                score = score * tir.const(self.spec.scale)
                tir.store(self.scores, head * _SPLIT_KEYS + index, score)

    def exponentiate(self, base: Value, results: _Results) -> None:
        """Scores become exp(score - largest of the head)."""
        lanes = self.isa.lanes
        steps = tir.bind((self.count + (lanes - 1)) // lanes)
        with tir.serial(self.group) as head:
            state = tir.local(lanes)
            tir.store(state, 0, tir.const(MASKED, lanes=lanes), lanes)
            with tir.serial(steps) as step:
                at = head * _SPLIT_KEYS + step * lanes
                score = tir.load(self.scores, at, lanes)
                if self.spec.softcap is not None:
                    score = tir.bind(score)
                    capped = softcapped(score, self.spec.softcap, lanes)
                    # A lane beyond the last key must stay masked: -cap would be a score.
                    masked = score <= tir.const(MASKED, lanes=lanes)
                    score = tir.bind(tir.choose(masked, score, capped))
                    tir.store(self.scores, at, score, lanes)
                tir.store(state, 0, tir.maximum(tir.load(state, 0, lanes), score), lanes)
            highest = tir.fold(tir.bind(tir.load(state, 0, lanes)), lanes, tir.maximum)
            tir.store(state, 0, tir.zeros(lanes), lanes)
            with tir.serial(steps) as step:
                at = head * _SPLIT_KEYS + step * lanes
                score = tir.load(self.scores, at, lanes) - tir.splat(highest, lanes)
                weight = arithmetic.exp(score, lanes)
                tir.store(self.scores, at, weight, lanes)
                tir.store(state, 0, tir.load(state, 0, lanes) + weight, lanes)
            query = base + self.kv_head * self.group + head
            tir.store(results.largest, query, highest)
            added = tir.fold(tir.bind(tir.load(state, 0, lanes)), lanes, lambda a, b: a + b)
            tir.store(results.total, query, added)

    def weigh(self, values: Buffer, base: Value, results: _Results) -> None:
        """Sums of the values, weighted by the scores, into `results`."""
        lanes, chunks = self.lanes, self.spec.head_dim // self.lanes
        # As many heads at a time as sums fit into registers.
        together = max(1, min(self.group, self.isa.sums // chunks))
        for head in range(0, self.group, together):
            part = range(head, min(head + together, self.group))
            sums = tir.local(len(part) * self.spec.head_dim)
            for chunk in range(len(part) * chunks):
                tir.store(sums, chunk * lanes, tir.zeros(lanes), lanes)
            with tir.serial(self.count) as index:
                value = [self._row(values, index, chunk * lanes, lanes) for chunk in range(chunks)]
                for number, member in enumerate(part):
                    score = tir.bind(tir.load(self.scores, member * _SPLIT_KEYS + index))
                    for chunk in range(chunks):
                        at = (number * chunks + chunk) * lanes
                        term = value[chunk] * tir.splat(score, lanes)
                        tir.store(sums, at, tir.load(sums, at, lanes) + term, lanes)
            for number, member in enumerate(part):
                row = (base + self.kv_head * self.group + member) * self.spec.head_dim
                for chunk in range(chunks):
                    value = tir.load(sums, (number * chunks + chunk) * lanes, lanes)
                    tir.store(results.partial, row + chunk * lanes, value, lanes)

    def _row(self, cache: Buffer, index: Value, feature: int, lanes: int) -> Value:
        return read_cache(self.isa, cache, (self.cached_head, self.first + index, feature), lanes)


def read_cache(isa: Isa, cache: Buffer, index: tuple[Value, ...], lanes: int) -> Value:
    """Numbers of the KV cache as float32."""
    stored = tir.load(cache, index, lanes)
    if str(cache.dtype) == "float16":
        stored = isa.widen(stored, lanes)
    return tir.bind(stored)


def softcapped(score: Value, cap: float, lanes: int) -> Value:
    """Scores kept within -cap..cap: cap * tanh(score / cap)."""
    inner = score * tir.const(1 / cap, lanes=lanes)
    return tir.bind(arithmetic.tanh(inner, lanes) * tir.const(cap, lanes=lanes))


@dataclass(frozen=True)
class _Merge:
    """Adds up the splits of each head, each scaled to the largest score of all.

    A sink is one more split, which has a score and no value.
    """

    isa: Isa
    spec: Attention
    count: Value
    results: _Results
    sinks: Buffer | None

    def write(self, y: Buffer, token: Value, first_split: Value) -> None:
        """The normalized outputs of all heads of a token, whose splits begin at `first_split`."""
        spec, results, sinks, count = self.spec, self.results, self.sinks, self.count
        lanes = self.isa.divisor_lanes(spec.head_dim)
        with tir.serial(spec.query_heads) as head:
            state = tir.local(2)
            tir.store(state, 0, tir.const(MASKED) if sinks is None else tir.load(sinks, head))
            with tir.serial(count) as split:
                highest = tir.load(results.largest, (first_split + split) * spec.query_heads + head)
                tir.store(state, 0, tir.maximum(tir.load(state, 0), highest))
            begin = tir.const(0.0)
            if sinks is not None:
                begin = arithmetic.exp(tir.load(sinks, head) - tir.load(state, 0), 1)
            tir.store(state, 1, begin)
            sums = tir.local(spec.head_dim)
            for chunk in range(spec.head_dim // lanes):
                tir.store(sums, chunk * lanes, tir.zeros(lanes), lanes)
            with tir.serial(count) as split:
                row = tir.bind((first_split + split) * spec.query_heads + head)
                factor = arithmetic.exp(tir.load(results.largest, row) - tir.load(state, 0), 1)
                tir.store(state, 1, tir.load(state, 1) + tir.load(results.total, row) * factor)
                for chunk in range(spec.head_dim // lanes):
                    at = chunk * lanes
                    part = tir.load(results.partial, row * spec.head_dim + at, lanes)
                    part = part * tir.splat(factor, lanes)
                    tir.store(sums, at, tir.load(sums, at, lanes) + part, lanes)
            inverse = tir.bind(tir.const(1.0) / tir.load(state, 1))
            for chunk in range(spec.head_dim // lanes):
                at = chunk * lanes
                value = tir.load(sums, at, lanes) * tir.splat(inverse, lanes)
                tir.store(y, (token, head * spec.head_dim + at), value, lanes)
