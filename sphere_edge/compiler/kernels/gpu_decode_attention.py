"""Attention of one new token each on GPUs, in float32 whatever the type of the KV cache.

A group of threads takes one KV head and one split of the context, for all its query heads;
a second kernel merges the splits (online softmax: Milakov and Gimelshein 2018). Only the GPU knows
the length of the text: groups beyond its end return at once. In a batch, each token is computed
exactly as it is alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import gcd
from typing import Any

from tvm import tirx

from sphere_edge.compiler.kernels import gpu_tir as gpu
from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.decode_attention import MASKED
from sphere_edge.compiler.kernels.gpu_tir import Arithmetic
from sphere_edge.compiler.kernels.gpu_tuning import Tuning
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.models.kernels import Attention


def capped(score: Value, spec: Attention) -> Value:
    """The score within the softcap, where there is one."""
    if spec.softcap is None:
        return score
    return tirx.tanh(score * tir.const(1 / spec.softcap)) * tir.const(spec.softcap)


@cache
def kv_splits(
    arithmetic: Arithmetic, tuning: Tuning, spec: Attention, cache_dtype: str
) -> PrimFunc:
    """f(q [1, query_heads, head_dim], position [1], K, V, partial, largest, total).

    partial [splits, query_heads, head_dim]: outputs that are not normalized; largest and total
    [splits, query_heads]: largest score, and sum of exp(score - largest).
    """
    return _kv_splits(arithmetic, tuning, _Tokens(spec, batch=False), cache_dtype)


@cache
def batch_kv_splits(
    arithmetic: Arithmetic, tuning: Tuning, spec: Attention, cache_dtype: str
) -> PrimFunc:
    """The same for q [n, …] with position [n, 2], and in K and V the heads of all sequences.

    The results have a first axis more, of n.
    """
    return _kv_splits(arithmetic, tuning, _Tokens(spec, batch=True), cache_dtype)


@dataclass(frozen=True)
class _Tokens:
    """The one token of a call, or those of a `batch`, each of a sequence of its own."""

    spec: Attention
    batch: bool

    def axes(self) -> tuple[Any, ...]:
        """The axis more that a batch has, of its tokens."""
        return (tir.symbol("n"),) if self.batch else ()

    def position(self, axes: tuple[Any, ...]) -> Buffer:
        """The parameter that says where they stand."""
        return tir.parameter("position", (*axes, 2) if self.batch else (1,), "int32")

    def end(self, position: Buffer, token: list[Value]) -> Value:
        """One more than the position of a token."""
        return tir.bind(tir.load(position, (*token, 0)) + 1)

    def cached_heads(self) -> Any:
        """Heads in the cache."""
        return tir.symbol("cached_heads") if self.batch else self.spec.kv_heads

    def cached_head(self, position: Buffer, token: list[Value], kv_head: Value) -> Value:
        """Where a head of a token's sequence is in the cache."""
        if not self.batch:
            return kv_head
        return tir.bind(tir.load(position, (*token, 1)) * self.spec.kv_heads + kv_head)


def _kv_splits(
    arithmetic: Arithmetic, tuning: Tuning, tokens: _Tokens, cache_dtype: str
) -> PrimFunc:
    spec = tokens.spec
    group = spec.query_heads // spec.kv_heads
    split_keys, threads = tuning.split_keys, tuning.attention_threads
    lanes = gcd(spec.head_dim, 4)

    def body() -> None:
        context = tir.symbol("context")
        count = (context + (split_keys - 1)) // split_keys
        axes = tokens.axes()
        q = tir.parameter("q", (*(axes or (1,)), spec.query_heads, spec.head_dim), "float32")
        position = tokens.position(axes)
        cache_shape = (tokens.cached_heads(), context, spec.head_dim)
        keys = tir.parameter("keys", cache_shape, cache_dtype)
        values = tir.parameter("values", cache_shape, cache_dtype)
        splits = (*axes, count, spec.query_heads)
        partial = tir.parameter("partial", (*splits, spec.head_dim), "float32")
        largest = tir.parameter("largest", splits, "float32")
        total = tir.parameter("total", splits, "float32")

        launch = gpu.launch((count, spec.kv_heads, *axes), (threads,))
        with tir.code(), launch as (number, kv_head, *token, thread):
            queries = gpu.shared(group * spec.head_dim)
            scores = gpu.shared(group * split_keys)
            highest_of = gpu.shared(group)
            row = token[0] if token else 0
            end = tokens.end(position, token)
            cached_head = tokens.cached_head(position, token, kv_head)
            first = tir.bind(first_seen(spec, end) + tir.cast(number, "int32", 1) * split_keys)
            head = tir.bind(kv_head * group)
            with tir.when(first < end):
                here = tir.bind(tir.minimum(end - first, split_keys))
                with gpu.share(group * spec.head_dim, thread, threads) as index:
                    source = (row, head + index // spec.head_dim, index % spec.head_dim)
                    value = tir.load(q, source)
                    tir.store(queries, index, value * tir.const(spec.scale))
                gpu.barrier()
                with tir.serial(-(-split_keys // threads)) as step:
                    key = tir.bind(step * threads + thread)
                    with tir.when(key < here):
                        sums = tir.local(group * lanes)
                        for member in range(group):
                            tir.store(sums, member * lanes, tir.zeros(lanes), lanes)
                        with tir.serial(spec.head_dim // lanes) as part:
                            element = (cached_head, first + key, part * lanes)
                            numbers = arithmetic.load(keys, element, lanes)
                            for member in range(group):
                                at = member * spec.head_dim + part * lanes
                                product = tir.load(queries, at, lanes) * numbers
                                before = tir.load(sums, member * lanes, lanes)
                                tir.store(sums, member * lanes, before + product, lanes)
                        for member in range(group):
                            score = gpu.sum_lanes(sums, member * lanes, lanes)
                            tir.store(scores, member * split_keys + key, capped(score, spec))
                gpu.barrier()
                with gpu.share(group, thread, threads) as member:
                    highest = tir.local(1)
                    tir.store(highest, 0, tir.const(MASKED))
                    with tir.serial(here) as key:
                        score = tir.load(scores, member * split_keys + key)
                        tir.store(highest, 0, tir.maximum(tir.load(highest, 0), score))
                    tir.store(highest_of, member, tir.load(highest, 0))
                    tir.store(largest, (*token, number, head + member), tir.load(highest, 0))
                gpu.barrier()
                scored = gpu.share(group * split_keys, thread, threads)
                with scored as index, tir.when(index % split_keys < here):
                    score = tir.load(scores, index) - tir.load(highest_of, index // split_keys)
                    tir.store(scores, index, tirx.exp(score))
                gpu.barrier()
                with gpu.share(group, thread, threads) as member:
                    added = tir.local(1)
                    tir.store(added, 0, tir.const(0.0))
                    with tir.serial(here) as key:
                        weight = tir.load(scores, member * split_keys + key)
                        tir.store(added, 0, tir.load(added, 0) + weight)
                    tir.store(total, (*token, number, head + member), tir.load(added, 0))
                with gpu.share(spec.head_dim, thread, threads) as feature:
                    outputs = tir.local(group)
                    for member in range(group):
                        tir.store(outputs, member, tir.const(0.0))
                    with tir.serial(here) as key:
                        value = arithmetic.load(values, (cached_head, first + key, feature))
                        for member in range(group):
                            weight = tir.load(scores, member * split_keys + key)
                            before = tir.load(outputs, member)
                            tir.store(outputs, member, before + weight * value)
                    for member in range(group):
                        element = (*token, number, head + member, feature)
                        tir.store(partial, element, tir.load(outputs, member))

    return tir.function(body)


@cache
def merge(tuning: Tuning, spec: Attention) -> PrimFunc:
    """f(position [1], partial, largest, total, y [1, query_heads head_dim]); see `kv_splits`."""
    return _merge(tuning, _Tokens(spec, batch=False))


@cache
def batch_merge(tuning: Tuning, spec: Attention) -> PrimFunc:
    """The same for what `batch_kv_splits` leaves, y [n, query_heads head_dim]."""
    return _merge(tuning, _Tokens(spec, batch=True))


def _merge(tuning: Tuning, tokens: _Tokens) -> PrimFunc:
    spec, threads = tokens.spec, tuning.attention_threads

    def body() -> None:
        axes, count = tokens.axes(), tir.symbol("count")
        position = tokens.position(axes)
        splits = (*axes, count, spec.query_heads)
        partial = tir.parameter("partial", (*splits, spec.head_dim), "float32")
        largest = tir.parameter("largest", splits, "float32")
        total = tir.parameter("total", splits, "float32")
        y = tir.parameter("y", (*(axes or (1,)), spec.query_heads * spec.head_dim), "float32")
        groups = (-(-spec.head_dim // threads), spec.query_heads, *axes)
        with tir.code(), gpu.launch(groups, (threads,)) as (part, head, *token, thread):
            feature = tir.bind(part * threads + thread)
            with tir.when(feature < spec.head_dim):
                end = tokens.end(position, token)
                seen = end - first_seen(spec, end)
                used = tir.bind((seen + (tuning.split_keys - 1)) // tuning.split_keys)
                state = tir.local(3)
                tir.store(state, 0, tir.const(MASKED))
                with tir.serial(used) as number:
                    highest = tir.load(largest, (*token, number, head))
                    tir.store(state, 0, tir.maximum(tir.load(state, 0), highest))
                tir.store(state, 1, tir.const(0.0))
                tir.store(state, 2, tir.const(0.0))
                with tir.serial(used) as number:
                    highest = tir.load(largest, (*token, number, head))
                    factor = tir.bind(tirx.exp(highest - tir.load(state, 0)))
                    added = tir.load(total, (*token, number, head)) * factor
                    tir.store(state, 1, tir.load(state, 1) + added)
                    value = tir.load(partial, (*token, number, head, feature)) * factor
                    tir.store(state, 2, tir.load(state, 2) + value)
                value = tir.load(state, 2) / tir.load(state, 1)
                row = token[0] if token else 0
                tir.store(y, (row, head * spec.head_dim + feature), value)

    return tir.function(body)


def first_seen(spec: Attention, end: Value) -> Value:
    """The first key that the token before `end` sees."""
    if spec.window is None:
        return tir.const(0, "int32")
    return tir.bind(tir.maximum(tir.const(0, "int32"), end - spec.window))
