"""The built-in model packaged for devices of the catalogue, once for all that share their code."""

from __future__ import annotations

from dataclasses import replace

from sphere_edge import packaging, profiles
from sphere_edge.bundle.read import Bundle
from sphere_edge.compiler.target import CpuTarget, GpuTarget
from sphere_edge.profiles import DeviceProfile, GpuLimits
from tests import made_bundles

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


class Bundles:
    """Bundles of the built-in model, made when they are first asked for, to be read only."""

    def __init__(self) -> None:
        self._made: dict[Code, Bundle] = {}

    def of(self, name: str) -> Bundle:
        """The bundle for the profile `name`, or one for another device with the same code."""
        profile = profiles.load(name)
        code = code_of(profile)
        if code not in self._made:
            self._made[code] = made_bundles.made(packaging.TINY, profile)
        return self._made[code]
