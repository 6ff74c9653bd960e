"""Names the kernel that is wrong: compares one prefill and one decode, kernel by kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from sphere_edge.bundle.reference import KernelCall, KernelOutput, Reference
from sphere_edge.certify.tolerance import Tolerance
from sphere_edge.errors import InternalError

_JUMP = 4
_KINDS = ("take", "linear", "rms_norm", "add_rms_norm", "gated", "rotate_and_store", "attend")

# For one token GPUs compute attention in KV splits, and merge them.
_SECOND_STEP = "attend_merge"


class _Tensor(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    columns: int
    norm: float | None
    non_finite: int
    samples: tuple[float | None, ...]


class _Call(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    kernel: str
    tensors: tuple[_Tensor, ...]


def first_wrong(trace: Any, reference: Reference, allowed: Tolerance) -> str | None:
    """The first kernel whose result is not the reference's, from what `certify --trace` printed.

    None when all of them agree, or when the device runs other kernels than the reference knows.
    Rounding adds up from kernel to kernel, so the one at fault is the first that is several times
    worse than all before it, and by more than half of what the logits may differ on average.
    """
    try:
        calls = [_Call.model_validate(call) for call in trace["kernels"]]
    except (ValidationError, KeyError, TypeError) as error:
        message = "the runner's trace cannot be read"
        raise InternalError(message) from error
    known = _whole([call for call in calls if call.kernel.startswith(_KINDS)])
    if len(known) != len(reference.kernels):
        return None
    worst = allowed.mean / 2 / _JUMP
    for call, expected in zip(known, reference.kernels, strict=True):
        if not call.kernel.startswith(expected.kind):
            return None
        if len(call.tensors) < len(expected.outputs):
            # The results lie in a memory that the runner does not look into.
            return None
        found = _worst_difference(call, expected)
        if not found <= worst * _JUMP:
            what = f"is off by {found:.2g} of its size" if found < math.inf else "is not finite"
            return f"`{call.kernel}`, {expected.label}, {what}"
        worst = max(worst, found)
    return None


def _whole(calls: list[_Call]) -> list[_Call]:
    """`calls` with kernels that work in two steps merged into one: the second has the result."""
    whole: list[_Call] = []
    for call in calls:
        if call.kernel.startswith(_SECOND_STEP) and whole:
            first = whole.pop()
            call = call.model_copy(update={"kernel": f"{first.kernel} + {call.kernel}"})
        whole.append(call)
    return whole


def _worst_difference(call: _Call, expected: KernelCall) -> float:
    """The largest among the call's results; infinite for what is not finite or of another shape."""
    results = call.tensors[-len(expected.outputs) :]
    return max(
        math.inf
        if result.non_finite or result.columns != right.columns
        else _difference(result, right)
        for result, right in zip(results, expected.outputs, strict=True)
    )


def _difference(result: _Tensor, right: KernelOutput) -> float:
    """How far the samples, and the length of the whole row, are off."""
    size = right.norm / math.sqrt(right.columns)
    if size == 0:
        return 0.0
    samples = np.array([math.nan if one is None else one for one in result.samples])
    difference = samples - np.array(right.samples)
    norm = math.nan if result.norm is None else result.norm
    return max(
        float(np.sqrt(np.square(difference).mean())) / size, abs(norm - right.norm) / right.norm
    )
