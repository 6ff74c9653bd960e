"""What `package` says of a bundle: only what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sphere_edge import profiles
from sphere_edge.bundle.manifest import GpuCode
from sphere_edge.bundle.read import read_manifest
from sphere_edge.commands.package import processor
from sphere_edge.engines.options import PackageOptions, refuse_text_options
from sphere_edge.errors import InvalidArgumentError

GOLDEN = Path(__file__).parent.parent / "data" / "golden.bundle"


@pytest.mark.parametrize(
    ("profile", "first", "gpu", "expected"),
    [
        ("pixel8", "cpu", None, "the CPU: Mali-G715 MC7 is not used yet"),
        (
            "pixel8",
            "opencl",
            "opencl",
            "Mali-G715 MC7, through opencl in float16; the CPU where that fails",
        ),
        (
            "pixel8",
            "cpu",
            "opencl",
            "the CPU; Mali-G715 MC7, through opencl in float16, with --backend",
        ),
        ("generic-x86-64-v3", "cpu", None, None),
    ],
)
def test_a_gpu_is_called_unused_only_where_the_bundle_has_no_code_for_it(
    profile: str, first: str, gpu: str | None, expected: str | None
) -> None:
    manifest = read_manifest(GOLDEN)
    assert manifest.tvm is not None
    code = {"backend": gpu, "library": "lib/model-gpu.so", "arithmetic": "float16"}
    made = manifest.model_copy(
        update={
            "target": manifest.target.model_copy(update={"backend": first}),
            "tvm": manifest.tvm.model_copy(
                update={"gpu": None if gpu is None else GpuCode.model_validate(code)}
            ),
        }
    )
    assert processor(made, profiles.load(profile)) == expected


@pytest.mark.parametrize("asked", [{"bits": 5.0}, {"as_gguf": True}, {"context_tokens": 9}])
def test_options_of_text_models_are_refused_elsewhere_instead_of_forgotten(
    asked: dict[str, Any],
) -> None:
    with pytest.raises(InvalidArgumentError, match="does not go with an image model"):
        refuse_text_options(PackageOptions(**asked), "an image model")
    refuse_text_options(PackageOptions(quantization="q8_0"), "an image model")
