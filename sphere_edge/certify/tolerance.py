"""How far a device's logits may lie from the reference; docs/certify.md derives the numbers."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.bundle.manifest import Manifest


@dataclass(frozen=True)
class Tolerance:
    """Parts of the standard deviation of a row's logits: the mean and the largest difference."""

    mean: float
    largest: float


# About ten times what correct CPU kernels were measured to differ by, three times where int8 is in
# play; `python tests/integration/measure_tolerances.py` measures it, docs/certify.md has the table.
_EXACT = Tolerance(mean=1e-5, largest=1e-4)
_HALF = Tolerance(mean=4e-3, largest=2e-2)
# GPUs also compute in float16: three times what tests/integration/test_gpu_half.py measures.
_HALF_ARITHMETIC = Tolerance(mean=1.6e-2, largest=1.2e-1)
# q4 and q8 multiply with activations rounded to int8.
_ROUNDED = Tolerance(mean=6e-2, largest=4e-1)


def tolerance(
    quantization: str, *, kv_dtype: str, arithmetic: str = "float32", rounds: bool = True
) -> Tolerance:
    """The tolerance for a weight format of ours, or a GGUF's name of one.

    `arithmetic`: what is multiplied in where that is not float32, as GPUs do. `rounds`: quantized
    weights are multiplied with activations rounded to int8, which GPU kernels do not.
    """
    name = quantization.lower()
    if rounds and name not in ("f32", "f16", "bf16"):
        return _ROUNDED
    if arithmetic != "float32":
        return _HALF_ARITHMETIC
    return _EXACT if (name, kv_dtype) == ("f32", "float32") else _HALF


def tolerance_of(manifest: Manifest, backend: str) -> Tolerance:
    """The tolerance for a text bundle's code for `backend`."""
    assert manifest.text is not None
    gpu = manifest.tvm.gpu if manifest.tvm is not None else None
    on_gpu = gpu is not None and backend == gpu.backend
    return tolerance(
        manifest.quantization,
        kv_dtype=manifest.text.kv_dtype,
        arithmetic=gpu.arithmetic if gpu is not None and on_gpu else "float32",
        rounds=not on_gpu,
    )
