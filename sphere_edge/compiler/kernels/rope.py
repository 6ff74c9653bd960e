"""Rotary position embedding of q and k (Su et al. 2021); k and v go into the KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.models.kernels import Attention


@dataclass(frozen=True)
class Rotary:
    """The rotation of `spec`'s heads, of one token if `single`.

    `switch_tokens`: in a batch, tokens from this position on take a second array of frequencies;
    0: there is none.
    """

    spec: Attention
    magnitude: float
    cache_dtype: str
    single: bool
    switch_tokens: int = 0

    def frequencies(self, *, batch: bool) -> FrequencyArrays | None:
        """The next parameters of the function, float32 [rotary_dim / 2]; None: nothing rotates."""
        half = self.spec.rotary_dim // 2
        if not half:
            return None
        inverse = tir.parameter("inverse_frequencies", (half,), "float32")
        if not batch or not self.switch_tokens:
            return FrequencyArrays(inverse)
        beyond = tir.parameter("frequencies_beyond", (half,), "float32")
        return FrequencyArrays(inverse, beyond, self.switch_tokens)


@dataclass(frozen=True)
class FrequencyArrays:
    """The arrays of a kernel: `beyond` is for tokens from position `switch_tokens` on."""

    inverse: Buffer
    beyond: Buffer | None = None
    switch_tokens: int = 0

    def load(self, index: Value, token_position: Value) -> Value:
        """That of a pair of features for a token."""
        usual = tir.load(self.inverse, index)
        if self.beyond is None:
            return usual
        is_beyond = token_position >= self.switch_tokens
        return tir.choose(is_beyond, tir.load(self.beyond, index), usual)


@cache
def rotate_and_store(isa: Isa, rotary: Rotary) -> PrimFunc:
    """f(qkv, position [1], inverse_frequencies, K, V, q); K and V are written in place.

    qkv [n, (query_heads + 2 kv_heads) head_dim], q [n, query_heads, head_dim].
    """
    return _function(isa, rotary, 1 if rotary.single else tir.symbol("n"))


@cache
def rotate_and_store_batch(isa: Isa, rotary: Rotary) -> PrimFunc:
    """The same with position [n, 2], and in K and V the heads of all sequences.

    Frequencies for long texts follow the others where `rotary` has a switch.
    """
    return _function(isa, rotary, tir.symbol("n"), batch=True)


def _function(isa: Isa, rotary: Rotary, n: Any, *, batch: bool = False) -> PrimFunc:
    spec, cache_dtype = rotary.spec, rotary.cache_dtype
    half = spec.rotary_dim // 2

    def body() -> None:
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

        with tir.code(), tir.parallel(n) as token:
            if batch:
                token_position = tir.bind(tir.load(position, (token, 0)))
                first_head = tir.bind(tir.load(position, (token, 1)) * spec.kv_heads)
            else:
                token_position = tir.bind(tir.load(position, 0) + tir.cast(token, "int32", 1))
                first_head = 0
            rotation = _Rotation(isa, spec, tir.local(max(half, 1)), tir.local(max(half, 1)))
            if frequencies is not None:
                rotation.prepare(token_position, frequencies, rotary.magnitude)
            with tir.serial(spec.query_heads) as head:
                source = _Head(qkv, (token, head * spec.head_dim))
                rotation.rotate(source, _Head(q, (token, head, 0)))
            with tir.serial(spec.kv_heads) as head:
                first = (spec.query_heads + head) * spec.head_dim
                row = (first_head + head, token_position, 0)
                rotation.rotate(_Head(qkv, (token, first)), _Head(keys, row))
                first = first + spec.kv_heads * spec.head_dim
                rotation.copy(_Head(qkv, (token, first)), _Head(values, row), 0)

    return tir.function(body)


@dataclass(frozen=True)
class _Head:
    """Where a head begins in a buffer."""

    buffer: Buffer
    index: tuple[Any, ...]

    def at(self, feature: Value) -> tuple[Any, ...]:
        """The index of one of its features."""
        return (*self.index[:-1], self.index[-1] + feature)

    def load(self, feature: Value, lanes: int) -> Value:
        """Features from `feature` on."""
        return tir.load(self.buffer, self.at(feature), lanes)


@dataclass(frozen=True)
class _Rotation:
    """cos and sin of one token, and what is done with them to each head."""

    isa: Isa
    spec: Attention
    cosines: Buffer
    sines: Buffer

    def prepare(
        self, token_position: Value, frequencies: FrequencyArrays, magnitude: float
    ) -> None:
        """Fills cos and sin for `token_position`; the angle is float32, as in transformers."""
        number = tir.bind(tir.cast(token_position, "float32", 1))
        with tir.serial(self.spec.rotary_dim // 2) as index:
            angle = tir.bind(number * frequencies.load(index, token_position))
            tir.store(self.cosines, index, tir.cos(angle) * tir.const(magnitude))
            tir.store(self.sines, index, tir.sin(angle) * tir.const(magnitude))

    def rotate(self, source: _Head, target: _Head) -> None:
        """One head from `source` to `target`."""
        half = self.spec.rotary_dim // 2
        if half and self.spec.interleaved:
            with tir.serial(half) as pair:
                self._pair(source, target, pair, 1)
        elif half:
            lanes = self.isa.divisor_lanes(half)
            with tir.serial(half // lanes) as step:
                self._pair(source, target, step * lanes, lanes)
        self.copy(source, target, self.spec.rotary_dim)

    def _pair(self, source: _Head, target: _Head, index: Value, lanes: int) -> None:
        """The pairs from number `index` on."""
        columns = (index, index + self.spec.rotary_dim // 2)
        if self.spec.interleaved:
            columns = (2 * index, 2 * index + 1)
        cosine = tir.bind(tir.load(self.cosines, index, lanes))
        sine = tir.bind(tir.load(self.sines, index, lanes))
        a, b = (tir.bind(source.load(column, lanes)) for column in columns)
        self._put(target, columns[0], a * cosine - b * sine, lanes)
        self._put(target, columns[1], b * cosine + a * sine, lanes)

    def copy(self, source: _Head, target: _Head, first: int) -> None:
        """The features from `first` to the end of a head, unchanged."""
        rest = self.spec.head_dim - first
        if not rest:
            return
        lanes = self.isa.divisor_lanes(rest)
        with tir.serial(rest // lanes) as step:
            column = first + step * lanes
            self._put(target, column, source.load(column, lanes), lanes)

    def _put(self, target: _Head, feature: Value, value: Value, lanes: int) -> None:
        if str(target.buffer.dtype) == "float16":
            value = self.isa.narrow(tir.bind(value), lanes)
        tir.store(target.buffer, target.at(feature), value, lanes)
