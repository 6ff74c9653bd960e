"""The right answers of a model, from a bundle's own weights, in float64 on this machine."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.relax.frontend.nn import Tensor, spec
from tvm.relax.frontend.nn.exporter import Exporter

from sphere_edge.bundle.reference import KernelCall, Logits, Reference, output_of, row_of
from sphere_edge.bundle.reference_plan import Plan
from sphere_edge.compiler.interpret import Graph, Interpreter, Parameter, interpret
from sphere_edge.compiler.reference_kernels import Floats, ReferenceKernels
from sphere_edge.models.decoder import Decoder
from sphere_edge.models.graph import layers_of


@dataclass(frozen=True)
class ReferenceModel:
    """A decoder, and the kernels that it was made with."""

    decoder: Decoder
    kernels: ReferenceKernels


def compute(
    model: ReferenceModel, plan: Plan, vocabulary: int, load: Callable[[str], Any]
) -> tuple[Reference, Logits]:
    """Runs the model once over all tokens of `plan`.

    `load` gives the stored array of a parameter's name. Raises UnsupportedError for a model that
    uses an operator which the interpreter lacks.
    """
    tokens, positions = np.array(plan.tokens, np.int32), np.array(plan.positions)
    function, names = _traced(model, tokens.size, positions - 1)
    shape = model.decoder.shape
    cache = tuple(
        np.zeros((shape.kv_heads, tokens.size, shape.head_dim)) for _ in range(2 * shape.layers)
    )
    traced = _TracedRows(tokens.size, plan)
    arguments = [tokens, np.zeros(1, np.int32), cache, tuple(map(Parameter, names))]
    graph = Graph(function, arguments, model.kernels.calls)
    logits = interpret(graph, load, traced.add)[:, :vocabulary]
    reference = Reference(
        made_by="float64",
        vocabulary=vocabulary,
        tokens=plan.tokens,
        detour=plan.detour,
        columns=plan.columns,
        rows=tuple(row_of(int(at), row) for at, row in zip(positions, logits, strict=True)),
        steps=plan.steps,
        trace_tokens=plan.trace_tokens,
        kernels=(*traced.prefill, *traced.decode),
    )
    return reference, logits[:, list(plan.columns)].astype(np.float32)


class TextReading:
    """A model that reads one text again and again, with some of its weights changed."""

    def __init__(
        self, model: ReferenceModel, tokens: list[int], rows: list[int] | None = None
    ) -> None:
        """`rows`: the logits after these tokens only; nothing is kept for a second reading."""
        count, shape = len(tokens), model.decoder.shape
        wanted = np.arange(count) if rows is None else np.array(rows)
        function, names = _traced(model, count, wanted)
        empty = np.zeros((shape.kv_heads, count, shape.head_dim))
        cache, weights = (empty,) * (2 * shape.layers), tuple(map(Parameter, names))
        arguments = [np.array(tokens, np.int32), np.zeros(1, np.int32), cache, weights]
        graph = Graph(function, arguments, model.kernels.calls)
        self._interpreter = Interpreter(graph, lambda *_: None, keeps=rows is None)

    def logits(self, load: Callable[[str], Any], changed: Collection[str] | None) -> Floats:
        """After each token, [tokens, vocab]. `load` gives the stored array of a parameter's name.

        `changed`: the parameters that are not the model's own; None: any of them.
        """
        found: Floats = self._interpreter.result(load, changed)
        return found


def _traced(
    model: ReferenceModel, length: int, rows: npt.NDArray[np.int64]
) -> tuple[Any, tuple[str, ...]]:
    """The graph of the logits after tokens `rows` of `length`, and its parameters' names."""
    decoder, kernels = model.decoder, model.kernels

    def answer(token_ids: Tensor, position: Tensor, cache: list[Tensor]) -> Tensor:
        hidden = decoder(token_ids, layers_of(position, cache))
        out = Tensor.placeholder([len(rows), decoder.shape.hidden], "float32")
        return decoder.logits(kernels.call("", lambda x: x[rows], [hidden], out))

    shape = decoder.shape
    size = [shape.kv_heads, length, shape.head_dim]
    cache = spec.Tuple("cache", [spec.Tensor(size, "float32")] * (2 * shape.layers))
    arguments = {
        "token_ids": spec.Tensor([length], "int32"),
        "position": spec.Tensor([1], "int32"),
        "cache": cache,
    }
    method = spec.MethodSpec(
        answer, list(arguments), list(arguments.values()), param_mode="packed", effect_mode="none"
    )
    exported = spec.ModuleSpec(decoder, ["answer"], [method])
    module, parameters, _ = Exporter(debug=False).build(exported)
    return module["answer"], tuple(name for name, _ in parameters)


class _TracedRows:
    """Keeps the rows of every kernel that a device would end with in the two traced calls."""

    def __init__(self, length: int, plan: Plan) -> None:
        self._length, self._plan = length, plan
        self._layer = "the embedding"
        self.prefill: list[KernelCall] = []
        self.decode: list[KernelCall] = []

    def add(self, kind: str, names: list[str], results: tuple[Any, ...]) -> None:
        """One call of a kernel with its weights' names."""
        if not kind or not self._plan.trace_tokens:
            return
        names = [name for name in names if not name.startswith("rope")]
        for name in names:
            self._layer = name.split(".weight")[0].removesuffix(".bias")
        # k and v are the cache, which a device keeps elsewhere.
        results = results[:1] if kind == "rotate_and_store" else results
        # A device reports floats only, not the expert indices.
        results = tuple(result for result in results if result.dtype.kind == "f")
        label = f"{kind} ({self._layer})" if names else f"{kind} (after {self._layer})"
        for tokens, calls in (
            (self._plan.trace_tokens, self.prefill),
            (self._plan.trace_tokens + 1, self.decode),
        ):
            outputs = tuple(output_of(self._row(result, tokens)) for result in results)
            calls.append(KernelCall(kind=kind, label=label, outputs=outputs))

    def _row(self, result: npt.NDArray[np.float64], tokens: int) -> Floats:
        """What a device that has computed `tokens` tokens has in its last row."""
        if result.shape[0] == len(self._plan.positions) != self._length:
            index = self._plan.positions.index(tokens)
        else:
            # Heads may have become rows.
            index = result.shape[0] // self._length * tokens - 1
        row: Floats = result[index].reshape(-1)
        return row
