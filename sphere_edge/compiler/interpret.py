"""Runs a traced graph in numpy, float64, without compiling it: for references, not for speed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import ir, relax

from sphere_edge.compiler.blas_threads import one_blas_thread
from sphere_edge.compiler.reference_kernels import ACTIVATIONS, HostCall
from sphere_edge.errors import UnsupportedError


@dataclass(frozen=True)
class Parameter:
    """A weight by its name, read when it is needed and not before."""

    name: str


# Gives the stored array of a parameter's name.
Load = Callable[[str], Any]
# Called after every kernel: with its kind, the names of its weights, its results.
Trace = Callable[[str, list[str], tuple[Any, ...]], None]


@dataclass(frozen=True)
class Graph:
    """A traced Relax function of arrays, or tuples of arrays, and the kernels that it calls."""

    function: Any
    arguments: list[Any]
    calls: Mapping[str, HostCall]


def interpret(graph: Graph, load: Load, trace: Trace) -> Any:
    """The result of a graph.

    Raises UnsupportedError for an operator that no model of ours uses.
    """
    return Interpreter(graph, trace).result(load)


class Interpreter:
    """Computes the result of one graph, again and again with some of its weights changed.

    With `keeps` the result of unchanged weights leaves behind what was known before each of them
    was read. Later ones begin at the first weight that has changed.
    """

    def __init__(self, graph: Graph, trace: Trace, *, keeps: bool = False) -> None:
        body, variables = graph.function.body, graph.function.params
        self._calls, self._trace, self._keeps, self._result = graph.calls, trace, keeps, body.body
        self._known: dict[Any, Any] = dict(zip(variables, graph.arguments, strict=True))
        self._bindings = [binding for block in body.blocks for binding in block.bindings]
        # Values that are not read again are freed: the activations of all layers are gigabytes.
        self._done = _last_read(self._bindings, body.body)
        # By a weight's name: the binding that reads it first, and all that is known before.
        self._before: dict[str, tuple[int, dict[Any, Any]]] = {}

    def result(self, load: Load, changed: Collection[str] | None = None) -> Any:
        """The result with weights from `load`; `changed`: their names, or None for any of them."""
        read = [self._before[name] for name in changed or () if name in self._before]
        first, found = min(read, key=lambda one: one[0]) if read else (0, self._known)
        known, loaded = dict(found), list[str]()

        def read_weight(name: str) -> Any:
            loaded.append(name)
            # Packed integers as they are stored; floats as float64, unless they are packed weights.
            found = load(name)
            return found if ".weight." in name else found.astype(float)

        keeps = self._keeps and not self._before and changed is not None and not changed
        reading = _Reading(known, read_weight, self._calls, self._trace)
        with one_blas_thread():
            for index in range(first, len(self._bindings)):
                binding = self._bindings[index]
                before = dict(known) if keeps else {}
                known[binding.var] = reading.value(binding.value)
                if keeps:
                    for name in loaded:
                        self._before.setdefault(name, (index, before))
                    loaded.clear()
                for variable in self._done[index]:
                    del known[variable]
            return reading.value(self._result)


@dataclass(frozen=True)
class _Reading:
    """Expressions' values, given those of variables."""

    known: dict[Any, Any]
    load: Load
    calls: Mapping[str, HostCall]
    trace: Trace

    def value(self, expression: Any) -> Any:
        """An array, a tuple, or a Parameter."""
        if isinstance(expression, relax.Var):
            return self.known[expression]
        if isinstance(expression, ir.GenericConst):
            return expression.value.numpy()
        if isinstance(expression, relax.Tuple):
            return tuple(self.value(item) for item in expression.fields)
        if isinstance(expression, relax.TupleGetItem):
            return self.value(expression.tuple_value)[expression.index]
        if isinstance(expression, relax.ShapeExpr):
            return tuple(int(size) for size in expression.values)
        if isinstance(expression, relax.Call):
            return self._call(expression)
        message = f"the reference cannot compute a `{type(expression).__name__}`"
        raise UnsupportedError(message)

    def _call(self, call: Any) -> Any:
        name = call.op.name
        if name == "relax.call_dps_packed":
            host = self.calls[str(call.args[0].global_symbol)]
            given = self.value(call.args[1])
            given = given if isinstance(given, tuple) else (given,)
            result = host.function(*(self._loaded(one) for one in given))
            names = [one.name for one in given if isinstance(one, Parameter)]
            self.trace(host.kind, names, result if isinstance(result, tuple) else (result,))
            return result
        if name not in _OPERATORS:
            message = f"the reference cannot compute the operator `{name}`"
            raise UnsupportedError(message)
        return _OPERATORS[name](call.attrs, *(self._loaded(self.value(one)) for one in call.args))

    def _loaded(self, one: Any) -> Any:
        if isinstance(one, tuple):
            return tuple(self._loaded(part) for part in one)
        return self.load(one.name) if isinstance(one, Parameter) else one


def _last_read(bindings: list[Any], result: Any) -> list[list[Any]]:
    """For each binding, the variables that are bound and not read after it."""
    bound = {binding.var for binding in bindings}
    later = set(relax.analysis.free_vars(result))
    done: list[list[Any]] = []
    for binding in reversed(bindings):
        read = {one for one in relax.analysis.free_vars(binding.value) if one in bound}
        unread = [one for one in (*read, binding.var) if one not in later]
        done.append(unread)
        later |= read
    return done[::-1]


def _layer_norm(attrs: Any, x: Any, weight: Any, bias: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + float(attrs.epsilon)) * weight + bias


def _split(attrs: Any, x: Any) -> Any:
    parts = attrs.indices_or_sections
    sections = [int(one) for one in parts] if hasattr(parts, "__len__") else int(parts)
    return tuple(np.split(x, sections, axis=int(attrs.axis)))


_OPERATORS: Mapping[str, Callable[..., Any]] = {
    "relax.add": lambda _, a, b: a + b,
    "relax.subtract": lambda _, a, b: a - b,
    "relax.multiply": lambda _, a, b: a * b,
    "relax.divide": lambda _, a, b: a / b,
    "relax.tanh": lambda _, x: np.tanh(x),
    "relax.square": lambda _, x: np.square(x),
    "relax.nn.relu": lambda _, x: np.maximum(x, 0),
    "relax.nn.silu": lambda _, x: ACTIVATIONS["silu"](x),
    "relax.nn.gelu": lambda _, x: ACTIVATIONS["gelu"](x),
    "relax.nn.gelu_tanh": lambda _, x: ACTIVATIONS["gelu_tanh"](x),
    "relax.reshape": lambda _, x, shape: x.reshape(shape),
    "relax.concat": lambda attrs, parts: np.concatenate(parts, axis=int(attrs.axis)),
    "relax.split": _split,
    "relax.nn.layer_norm": _layer_norm,
}
