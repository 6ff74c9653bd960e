"""Runs a traced graph in numpy, float64, without compiling it: for references, not for speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    load: Callable[[str], Any]

    def value(self) -> Any:
        """Packed integers as they are stored; floats as float64, unless they are packed weights."""
        found = self.load(self.name)
        return found if ".weight." in self.name else found.astype(float)


# Called after every kernel: with its kind, the names of its weights, its results.
Trace = Callable[[str, list[str], tuple[Any, ...]], None]


def interpret(
    function: Any, arguments: list[Any], calls: Mapping[str, HostCall], trace: Trace
) -> Any:
    """The result of a Relax `function` for `arguments` (arrays, or tuples of arrays).

    Raises UnsupportedError for an operator that no model of ours uses.
    """
    known: dict[Any, Any] = dict(zip(function.params, arguments, strict=True))

    def value(expression: Any) -> Any:
        if isinstance(expression, relax.Var):
            return known[expression]
        if isinstance(expression, ir.GenericConst):
            return expression.value.numpy()
        if isinstance(expression, relax.Tuple):
            return tuple(value(item) for item in expression.fields)
        if isinstance(expression, relax.TupleGetItem):
            return value(expression.tuple_value)[expression.index]
        if isinstance(expression, relax.ShapeExpr):
            return tuple(int(size) for size in expression.values)
        if isinstance(expression, relax.Call):
            return _call(expression, value, calls, trace)
        message = f"the reference cannot compute a `{type(expression).__name__}`"
        raise UnsupportedError(message)

    bindings = [binding for block in function.body.blocks for binding in block.bindings]
    # Values that are not read again are freed: the activations of all layers would be gigabytes.
    with one_blas_thread():
        for binding, done in zip(bindings, _last_read(bindings, function.body.body), strict=True):
            known[binding.var] = value(binding.value)
            for variable in done:
                del known[variable]
        return value(function.body.body)


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


def _call(
    call: Any, value: Callable[[Any], Any], calls: Mapping[str, HostCall], trace: Trace
) -> Any:
    name = call.op.name
    if name == "relax.call_dps_packed":
        host = calls[str(call.args[0].global_symbol)]
        given = value(call.args[1])
        given = given if isinstance(given, tuple) else (given,)
        result = host.function(*(_loaded(one) for one in given))
        names = [one.name for one in given if isinstance(one, Parameter)]
        trace(host.kind, names, result if isinstance(result, tuple) else (result,))
        return result
    if name not in _OPERATORS:
        message = f"the reference cannot compute the operator `{name}`"
        raise UnsupportedError(message)
    return _OPERATORS[name](call.attrs, *(_all_loaded(value(one)) for one in call.args))


def _loaded(one: Any) -> Any:
    return one.value() if isinstance(one, Parameter) else one


def _all_loaded(one: Any) -> Any:
    return tuple(_loaded(part) for part in one) if isinstance(one, tuple) else _loaded(one)


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
