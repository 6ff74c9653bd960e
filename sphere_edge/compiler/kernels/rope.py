"""Rotary position embedding of q and k (Su et al. 2021); k and v go into the KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.models.kernels import Attention


@cache
def rotate_and_store(
    isa: Isa, spec: Attention, single: bool, magnitude: float, cache_dtype: str
) -> PrimFunc:
    """f(qkv, position [1], inverse_frequencies, K, V, q); K and V are written in place.

    qkv [n, (query_heads + 2 kv_heads) head_dim], q [n, query_heads, head_dim].
    """
    n = 1 if single else tir.symbol("n")
    return _function(isa, spec, n, magnitude, cache_dtype)


@cache
def rotate_and_store_batch(
    isa: Isa, spec: Attention, magnitude: float, cache_dtype: str
) -> PrimFunc:
    """The same with position [n, 2], and in K and V the heads of all sequences."""
    return _function(isa, spec, tir.symbol("n"), magnitude, cache_dtype, batch=True)


def _function(
    isa: Isa, spec: Attention, n: Any, magnitude: float, cache_dtype: str, *, batch: bool = False
) -> PrimFunc:
    half = spec.rotary_dim // 2

    def body() -> None:
        context = tir.symbol("context")
        heads = spec.query_heads + 2 * spec.kv_heads
        qkv = tir.parameter("qkv", (n, heads * spec.head_dim), "float32")
        position = tir.parameter("position", (n, 2) if batch else (1,), "int32")
        frequencies = tir.parameter("inverse_frequencies", (half,), "float32") if half else None
        cached_heads = tir.symbol("cached_heads") if batch else spec.kv_heads
        cache_shape = (cached_heads, context, spec.head_dim)
        keys = tir.parameter("keys", cache_shape, cache_dtype)
        values = tir.parameter("values", cache_shape, cache_dtype)
        q = tir.parameter("q", (n, spec.query_heads, spec.head_dim), "float32")

        with tir.code(), tir.parallel(n) as token:
            if batch:
                token_position = tir.bind(tir.load(position, (token, 0)))
                first_head = tir.bind(tir.load(position, (token, 1)) * spec.kv_heads)
            else:
                token_position = tir.bind(tir.load(position, 0) + tir.cast(token, "int32", 1))
                first_head = 0
            rotation = _Rotation(isa, spec, tir.local(max(half, 1)), tir.local(max(half, 1)))
            if frequencies is not None:
                rotation.prepare(token_position, frequencies, magnitude)
            with tir.serial(spec.query_heads) as head:
                rotation.rotate(qkv, (token, head * spec.head_dim), q, (token, head, 0))
            with tir.serial(spec.kv_heads) as head:
                source = (spec.query_heads + head) * spec.head_dim
                row = (first_head + head, token_position, 0)
                rotation.rotate(qkv, (token, source), keys, row)
                source = source + spec.kv_heads * spec.head_dim
                rotation.copy(qkv, (token, source), values, row, 0)

    return tir.function(body)


Index = tuple[Any, ...]


@dataclass(frozen=True)
class _Rotation:
    """cos and sin of one token, and what is done with them to each head."""

    isa: Isa
    spec: Attention
    cosines: Buffer
    sines: Buffer

    def prepare(self, token_position: Value, frequencies: Buffer, magnitude: float) -> None:
        """Fills cos and sin for `token_position`; the angle is float32, as in transformers."""
        number = tir.bind(tir.cast(token_position, "float32", 1))
        with tir.serial(self.spec.rotary_dim // 2) as index:
            angle = tir.bind(number * tir.load(frequencies, index))
            tir.store(self.cosines, index, tir.cos(angle) * tir.const(magnitude))
            tir.store(self.sines, index, tir.sin(angle) * tir.const(magnitude))

    def rotate(self, source: Buffer, start: Index, target: Buffer, to: Index) -> None:
        """One head from `source` at `start` to `target` at `to`."""
        half = self.spec.rotary_dim // 2
        if half and self.spec.interleaved:
            with tir.serial(half) as pair:
                self._pair(source, start, target, to, pair, (2 * pair, 2 * pair + 1), 1)
        elif half:
            lanes = self.isa.divisor_lanes(half)
            with tir.serial(half // lanes) as step:
                first = step * lanes
                self._pair(source, start, target, to, first, (first, first + half), lanes)
        self.copy(source, start, target, to, self.spec.rotary_dim)

    def _pair(
        self,
        source: Buffer,
        start: Index,
        target: Buffer,
        to: Index,
        index: Value,
        columns: tuple[Value, Value],
        lanes: int,
    ) -> None:
        cosine = tir.bind(tir.load(self.cosines, index, lanes))
        sine = tir.bind(tir.load(self.sines, index, lanes))
        a = tir.bind(tir.load(source, _shifted(start, columns[0]), lanes))
        b = tir.bind(tir.load(source, _shifted(start, columns[1]), lanes))
        self._put(target, _shifted(to, columns[0]), a * cosine - b * sine, lanes)
        self._put(target, _shifted(to, columns[1]), b * cosine + a * sine, lanes)

    def copy(self, source: Buffer, start: Index, target: Buffer, to: Index, first: int) -> None:
        """The features from `first` to the end of a head, unchanged."""
        rest = self.spec.head_dim - first
        if not rest:
            return
        lanes = self.isa.divisor_lanes(rest)
        with tir.serial(rest // lanes) as step:
            column = first + step * lanes
            value = tir.load(source, _shifted(start, column), lanes)
            self._put(target, _shifted(to, column), value, lanes)

    def _put(self, target: Buffer, index: Index, value: Value, lanes: int) -> None:
        if str(target.dtype) == "float16":
            value = self.isa.narrow(tir.bind(value), lanes)
        tir.store(target, index, value, lanes)


def _shifted(index: Index, by: Value) -> Index:
    return (*index[:-1], index[-1] + by)
