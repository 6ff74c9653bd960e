"""What `package` says of a bundle: only what is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge import profiles
from sphere_edge.bundle.read import read_manifest
from sphere_edge.commands.package import processor

GOLDEN = Path(__file__).parent.parent / "data" / "golden.bundle"


@pytest.mark.parametrize(
    ("profile", "backend", "told"),
    [
        ("pixel8", "cpu", "the CPU: Mali-G715 is not used yet"),
        ("pixel8", "opencl", "Mali-G715, through opencl"),
        ("generic-x86-64-v3", "cpu", None),
    ],
)
def test_a_gpu_is_called_unused_only_where_the_bundle_has_no_code_for_it(
    profile: str, backend: str, told: str | None
) -> None:
    manifest = read_manifest(GOLDEN)
    target = manifest.target.model_copy(update={"backend": backend})
    made = manifest.model_copy(update={"target": target})
    assert processor(made, profiles.load(profile)) == told
