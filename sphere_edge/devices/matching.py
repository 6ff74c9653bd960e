"""Which profile of the catalogue suits a device best, and what differs from it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sphere_edge import console
from sphere_edge.devices.described import profile_of
from sphere_edge.devices.probe import Probe
from sphere_edge.profiles import DeviceProfile

# What says nothing about which device it is.
_NOISE = {"developer", "kit", "board", "rev", "model", "google", "nvidia", "arm", "8gb", "gb", "b"}

_GENERIC = 0.3


@dataclass(frozen=True)
class Difference:
    """One figure of a profile that the device has differently; `matters` says why one should care.

    `forbids`: a bundle made for the profile does not run on the device.
    """

    figure: str
    profile: str
    device: str
    matters: str
    forbids: bool = False


@dataclass(frozen=True)
class Match:
    """A profile beside a device; `likeness` from 0 to 1, only good for sorting."""

    profile: DeviceProfile
    likeness: float
    differences: tuple[Difference, ...]

    @property
    def runs(self) -> bool:
        """Whether bundles made for the profile run on the device."""
        return not any(one.forbids for one in self.differences)


def matches(probe: Probe, uri: str, catalogue: Iterable[DeviceProfile]) -> list[Match]:
    """All profiles, the best first: those whose bundles run there, then by likeness.

    Raises what profile_of raises.
    """
    device = profile_of(probe, uri)
    found = [
        Match(profile, _likeness(profile, device), tuple(differences(profile, device)))
        for profile in catalogue
    ]
    return sorted(found, key=lambda one: (not one.runs, -one.likeness, one.profile.name))


def differences(profile: DeviceProfile, device: DeviceProfile) -> Iterable[Difference]:
    """What `device` has differently from `profile`, the grave ones first."""
    if _system(profile) != _system(device):
        matters = "machine code of one does not run on the other"
        yield Difference("system", _system(profile), _system(device), matters, forbids=True)
        return
    wanted, there = profile.cpu.features, device.cpu.features
    if lacking := [name for name in wanted if name not in there]:
        matters = "bundles may use what the device lacks"
        yield Difference("cpu.features", " ".join(lacking), "-", matters, forbids=True)
    if unused := [name for name in there if name not in wanted]:
        matters = "the device could run faster kernels"
        yield Difference("cpu.features", "-", " ".join(unused), matters)
    if profile.memory.usable_bytes > device.memory.usable_bytes:
        yield _memory(profile, device, "a bundle may fit the profile but not the device")
    elif profile.memory.usable_bytes < 0.75 * device.memory.usable_bytes:
        yield _memory(profile, device, "larger models or contexts would fit the device")
    if profile.cpu.performance_cores != device.cpu.performance_cores:
        cores = str(profile.cpu.performance_cores), str(device.cpu.performance_cores)
        yield Difference("cpu.performance_cores", *cores, "speed differs, nothing else")
    gpus = [f"{one.gpu.name} ({one.gpu.api})" if one.gpu else "-" for one in (profile, device)]
    if _gpu_api(profile) != _gpu_api(device):
        yield Difference("gpu", gpus[0], gpus[1], "kernels for the GPU are made for one of them")


def _memory(profile: DeviceProfile, device: DeviceProfile, matters: str) -> Difference:
    sizes = [console.human_bytes(one.memory.usable_bytes) for one in (profile, device)]
    return Difference("memory.usable_bytes", sizes[0], sizes[1], matters)


def _system(profile: DeviceProfile) -> str:
    # glibc and musl count as one: the runtime that goes along is chosen by the device.
    return f"{'arm64' if profile.is_arm else profile.triple.split('-')[0]} {profile.os}"


def _gpu_api(profile: DeviceProfile) -> str | None:
    return profile.gpu.api if profile.gpu else None


def _likeness(profile: DeviceProfile, device: DeviceProfile) -> float:
    ours, theirs = set(profile.cpu.features), set(device.cpu.features)
    features = len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0
    sizes = profile.memory.total_bytes / device.memory.total_bytes
    memory = math.exp(-abs(math.log(sizes)))
    cores = profile.cpu.performance_cores / device.cpu.performance_cores
    named = max(
        _same_words(profile.title, device.title),
        _same_words(profile.soc or "", device.soc or ""),
    )
    if profile.name.startswith("generic-"):
        # Better than the profile of some other device, and worse than that of this one; but not
        # where it is all about a GPU that the device does not have.
        named = _GENERIC if _gpu_api(profile) == _gpu_api(device) else 0.0
    return 0.5 * named + 0.25 * features + 0.15 * memory + 0.1 * math.exp(-abs(math.log(cores)))


def _same_words(one: str, other: str) -> float:
    """Jaccard similarity of the words that tell devices apart."""
    words = [set(re.findall(r"[a-z]+\d*|\d+", text.lower())) - _NOISE for text in (one, other)]
    either = words[0] | words[1]
    return len(words[0] & words[1]) / len(either) if either else 0.0
