"""How far a device's logits may lie from the reference; docs/certify.md derives the numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Parts of the standard deviation of a row's logits: the mean and the largest difference."""

    mean: float
    largest: float


# About ten times what correct CPU kernels were measured to differ by, three times where int8 is in
# play; `python tests/integration/measure_tolerances.py` measures it, docs/certify.md has the table.
_EXACT = Tolerance(mean=1e-5, largest=1e-4)
_HALF = Tolerance(mean=4e-3, largest=2e-2)
# GPUs also compute in float16.
_HALF_ARITHMETIC = Tolerance(mean=1e-2, largest=5e-2)
# q4 and q8 multiply with activations rounded to int8.
_ROUNDED = Tolerance(mean=6e-2, largest=4e-1)


def tolerance(quantization: str, *, kv_dtype: str, backend: str = "cpu") -> Tolerance:
    """The tolerance for a weight format of ours, or a GGUF's name of one."""
    name = quantization.lower()
    if name not in ("f32", "f16", "bf16"):
        return _ROUNDED
    if backend != "cpu":
        return _HALF_ARITHMETIC
    return _EXACT if (name, kv_dtype) == ("f32", "float32") else _HALF
