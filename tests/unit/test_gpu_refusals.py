"""What GPUs have no kernels for is refused by name, before anything is compiled."""

import pytest

from sphere_edge import profiles
from sphere_edge.compiler import kernels
from sphere_edge.compiler.target import GpuTarget
from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.graph import Limits, trace
from sphere_edge.models.registry import family

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
    model = made.model(made.config, kernels.for_target(target), fmt)
    with pytest.raises(UnsupportedError, match=f"no GPU kernels for .*{named}"):
        trace(model, Limits(128, 64, 32))
