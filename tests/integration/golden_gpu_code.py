"""The GPU's code that a bundle of a golden would hold, without the rest of the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import goldens

from sphere_edge.bundle.manifest import GpuCode
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.engines import compiled_code
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.graph import Limits
from sphere_edge.models.registry import family
from sphere_edge.profiles import DeviceProfile

KvDtype = Literal["float16", "float32"]
# One configuration of each family: grouped heads, biases, windows, softcaps, two rotations.
MODELS = (
    "llama_odd_sizes",
    "qwen2_upper_layers_slide",
    "gemma_one_kv_head",
    "gemma2_alternating",
    "phi3_longrope_long",
)


def compiled(
    name: str, fmt: str, profile: DeviceProfile, folder: Path, kv_dtype: KvDtype = "float16"
) -> tuple[GpuCode, Path]:
    """What is said of the code of the golden `name`, and the library in `folder` that holds it."""
    host = CpuTarget.of(profile.triple, profile.cpu.features)
    path = goldens.write_checkpoint(goldens.load(name), folder)
    made = family(ModelConfig.read(path), 512)
    limits = Limits(512, 64, 32, kv_dtype, decode_sequences=8)
    weights = host.weight_format(fmt)
    request = compiled_code.CodeRequest(limits, name, folder)
    code = compiled_code.for_gpu(made, weights, profile, request)
    assert code is not None
    return code, folder / Path(code.library).name
