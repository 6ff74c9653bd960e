"""What GPUs have no kernels for, or no room, is refused by name; the CPU's code is left."""

from pathlib import Path

import pytest

from sphere_edge import profiles
from sphere_edge.bundle.manifest import GpuCode
from sphere_edge.compiler import kernels
from sphere_edge.compiler.target import GpuTarget
from sphere_edge.console import Progress
from sphere_edge.engines import compiled_code
from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.graph import Limits, trace
from sphere_edge.models.registry import family
from tests.recorded_progress import RecordedProgress

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "num_experts_per_tok": 2,
}


@pytest.mark.parametrize(
    ("model_type", "quantization", "named"),
    [
        ("gpt_oss", "q4", "attention sinks"),
        ("qwen3_moe", "q4", "mixtures of experts"),
        ("llama", "mxfp4", "mxfp4"),
    ],
)
def test_a_model_that_needs_what_gpus_lack_is_refused_by_name(model_type, quantization, named):
    target = GpuTarget.of(profiles.load("generic-opencl"))
    config = ModelConfig({"model_type": model_type, **SIZES})
    made = family(config, 128)
    fmt = target.weight_format(quantization)
    model = made.build(kernels.for_target(target), fmt)
    with pytest.raises(UnsupportedError, match=f"no GPU kernels for .*{named}"):
        trace(model, Limits(128, 64, 32))


def compiled_for_gpu(
    folder: Path, context_tokens: int, limits: dict[str, int], progress: Progress
) -> GpuCode | None:
    """What packaging makes of a small model for a GPU with these limits."""
    known = profiles.load("generic-opencl")
    assert known.gpu is not None
    gpu = known.gpu.model_copy(update={"limits": profiles.GpuLimits(**limits)})
    profile = known.model_copy(update={"gpu": gpu})
    fmt = GpuTarget.of(profile).weight_format("q4")
    made = family(ModelConfig({"model_type": "llama", **SIZES}), 128)
    most = Limits(context_tokens, 64, 32)
    request = compiled_code.CodeRequest(most, "small", folder, progress)
    return compiled_code.for_gpu(made, fmt, profile, request)


@pytest.mark.parametrize(
    ("context_tokens", "limits", "named"),
    [
        (8, {"allocation_bytes": 1000}, "`layers.0.mlp.gate_up_proj.weight.data` takes 1.5 KiB"),
        (4096, {"allocation_bytes": 100_000}, "the KV cache of one layer takes 256.0 KiB"),
        (128, {"group_threads": 8}, "needs more"),
    ],
)
def test_what_is_too_large_for_a_gpu_leaves_a_bundle_for_the_cpu_and_says_why(
    tmp_path: Path,
    context_tokens: int,
    limits: dict[str, int],
    named: str,
) -> None:
    progress = RecordedProgress()
    assert compiled_for_gpu(tmp_path, context_tokens, limits, progress) is None
    (said,) = progress.warnings
    assert "the bundle is for the CPU only" in said
    assert named in said
    assert not list(tmp_path.iterdir())
