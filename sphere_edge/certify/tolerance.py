"""How far a device's logits may lie from the reference; docs/certify.md derives the numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Parts of the standard deviation of a row's logits: the mean and the largest difference."""

    mean: float
    largest: float


# Four times the largest that was measured with correct kernels, over the families of the tests:
# `python tests/integration/measure_tolerances.py` prints them.
_EXACT = Tolerance(mean=2e-3, largest=1e-2)
_HALF = Tolerance(mean=1e-2, largest=5e-2)
# q4 and q8 multiply with activations rounded to int8.
_ROUNDED = Tolerance(mean=6e-2, largest=3e-1)
_FORMATS = {"f32": _EXACT, "f16": _HALF, "q8": _ROUNDED, "q4": _ROUNDED}


def tolerance(quantization: str, *, kv_dtype: str = "float16") -> Tolerance:
    """The tolerance for a weight format of ours or a GGUF's name of one."""
    if quantization == "f32" and kv_dtype == "float16":
        return _HALF
    if quantization in _FORMATS:
        return _FORMATS[quantization]
    return _HALF if quantization in ("F32", "F16", "BF16") else _ROUNDED
