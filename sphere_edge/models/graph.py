"""A model as the functions of the compiled module: prefill, decode, decode_batch, score, embed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import IRModule, te
from tvm.relax.frontend.nn import Tensor, op, spec
from tvm.relax.frontend.nn.exporter import Exporter

from sphere_edge.bundle.manifest import CacheLayer
from sphere_edge.models.decoder import Decoder
from sphere_edge.models.kernels import BATCH, LayerCache


@dataclass(frozen=True)
class Limits:
    """The largest numbers that memory is planned for; `kv_dtype` is the type of the KV cache.

    `decode_sequences`: of `decode_batch`; 0: there is no such function.
    """

    context_tokens: int
    prefill_tokens: int
    score_tokens: int
    kv_dtype: str = "float32"
    decode_sequences: int = 0


@dataclass(frozen=True)
class Graph:
    """The traced module, and the names of the parameters in the order its functions take them."""

    module: IRModule
    parameters: tuple[str, ...]
    cache: tuple[CacheLayer, ...]


def trace(model: Decoder, limits: Limits) -> Graph:
    """Exports `model` as docs/bundle.md, "The compiled module", describes it.

    `prefill` and `decode` return the logits of the last token, float32 [1, vocab], `score` and
    `decode_batch` those of every token, float32 [n, vocab]. `embed` returns the final hidden state
    of every token, float32 [n, hidden].
    """
    shape = model.shape
    layer = CacheLayer(kv_heads=shape.kv_heads, key_dim=shape.head_dim, value_dim=shape.head_dim)
    cache = (layer,) * shape.layers

    def last(token_ids: Tensor, position: Tensor, cache: list[Tensor]) -> Tensor:
        return model.logits(_last_row(model(token_ids, layers_of(position, cache))))

    def every(token_ids: Tensor, position: Tensor, cache: list[Tensor]) -> Tensor:
        return model.logits(model(token_ids, layers_of(position, cache)))

    def hidden(token_ids: Tensor, position: Tensor, cache: list[Tensor]) -> Tensor:
        return op.astype(model(token_ids, layers_of(position, cache)), "float32")

    functions = {
        "prefill": _Function(last, "n"),
        "decode": _Function(last, 1),
        "score": _Function(every, "n"),
        "embed": _Function(hidden, "n"),
    }
    if limits.decode_sequences:
        functions["decode_batch"] = _Function(every, BATCH)
    specs = [_method(function, cache, limits.kv_dtype) for function in functions.values()]
    exported = spec.ModuleSpec(model, list(functions), specs)
    module, parameters, _ = Exporter(debug=False).build(exported)
    return Graph(_bounded(module, limits), tuple(name for name, _ in parameters), cache)


@dataclass(frozen=True)
class _Function:
    """One of the functions of the module, for `tokens` tokens.

    Of a BATCH each has a position and a sequence, and the cache the heads of all of them.
    """

    body: Any
    tokens: int | str


def _method(function: _Function, cache: tuple[CacheLayer, ...], kv_dtype: str) -> Any:
    tokens, batch = function.tokens, function.tokens == BATCH
    arrays = []
    for layer in cache:
        for features in (layer.key_dim, layer.value_dim):
            size = ["cached_heads" if batch else layer.kv_heads, "context", features]
            arrays.append(spec.Tensor(size, kv_dtype))
    arguments = {
        "token_ids": spec.Tensor([tokens], "int32"),
        "position": spec.Tensor([tokens, 2] if batch else [1], "int32"),
        "cache": spec.Tuple("cache", arrays),
    }
    return spec.MethodSpec(
        function.body,
        list(arguments),
        list(arguments.values()),
        param_mode="packed",
        effect_mode="none",
    )


def layers_of(position: Tensor, cache: list[Tensor]) -> list[LayerCache]:
    """Flat K0, V0, K1, V1, … as one cache per layer, with tokens at `position`."""
    pairs = zip(cache[::2], cache[1::2], strict=True)
    return [LayerCache(position, keys, values) for keys, values in pairs]


def _last_row(x: Tensor) -> Tensor:
    """[n, features] → [1, features]: the head is the largest matrix and only one row is wanted."""
    rows, features = x.shape
    if rows == 1:
        return x

    def pick(source: te.Tensor) -> te.Tensor:
        return te.compute(
            (1, features), lambda _, j: source[source.shape[0] - 1, j], name="last_row"
        )

    return op.tensor_expr_op(pick, "last_row", [x])


def _bounded(module: IRModule, limits: Limits) -> IRModule:
    """Tells the memory planner how large the symbolic sizes can become."""
    most = {
        "prefill": {"n": limits.prefill_tokens},
        "score": {"n": limits.score_tokens},
        "embed": {"n": limits.prefill_tokens},
    }
    if limits.decode_sequences:
        most["decode_batch"] = {BATCH: limits.decode_sequences}
    for name, tokens in most.items():
        bounds = {**tokens, "context": limits.context_tokens}
        module[name] = module[name].with_attr("tir_var_upper_bound", bounds)
    return module
