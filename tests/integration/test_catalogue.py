"""`package --profile` works for every device of the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge import packaging, profiles
from sphere_edge.bundle.verify import verify
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.engines.options import PackageOptions
from sphere_edge.profiles import DeviceProfile

Code = tuple[object, ...]


def code_of(profile: DeviceProfile) -> Code:
    """What decides the bundle's code; devices that share it share its bytes."""
    target = CpuTarget.of(profile.triple, profile.cpu.features)
    gpu = profile.gpu if profile.backends[0] != "cpu" else None
    if gpu is None:
        return (target, profile.defaults.quantization)
    architecture = gpu.architecture if gpu.api == "cuda" else None
    family = gpu.name.split()[0].split("-")[0]
    return (target, gpu.api, family, architecture, profile.defaults.quantization)


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
