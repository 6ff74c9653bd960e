"""`package --profile` works for every device of the catalogue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sphere_edge import packaging, profiles
from sphere_edge.bundle.verify import verify
from sphere_edge.compiler.target import CpuTarget, GpuTarget
from sphere_edge.engines.options import PackageOptions
from sphere_edge.profiles import DeviceProfile, GpuLimits

Code = tuple[object, ...]


def code_of(profile: DeviceProfile) -> Code:
    """What decides the bundle's code; devices that share it share its bytes."""
    quantization = profile.defaults.quantization
    if profile.backends == ("cpu",):
        return (CpuTarget.of(profile.triple, profile.cpu.features), quantization)
    target = GpuTarget.of(profile)
    most = (target.group_threads, target.group_memory_bytes)
    architecture = target.architecture if target.kind == "cuda" else None
    known = replace(target, limits=GpuLimits(), architecture=architecture)
    return (known, most, profile.backends[0], quantization)


CODES: dict[Code, list[str]] = {}
for _name in profiles.names():
    CODES.setdefault(code_of(profiles.load(_name)), []).append(_name)


@pytest.mark.parametrize("names", CODES.values(), ids=lambda names: names[0])
def test_the_built_in_model_can_be_packaged_for_every_device(names: list[str], tmp_path: Path):
    profile = profiles.load(names[0])
    made = packaging.package(packaging.find("tiny"), profile, PackageOptions(), tmp_path / "made")
    assert made.bundle.manifest.profile == names[0]
    verify(made.output)
    peak = made.bundle.manifest.memory.peak_bytes
    assert all(profiles.load(name).memory.usable_bytes > peak for name in names)
