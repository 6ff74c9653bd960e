"""Which profile of the catalogue suits a device best, and what differs from it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sphere_edge import console, profiles
from sphere_edge.devices.described import profile_of
from sphere_edge.devices.device import Device
from sphere_edge.devices.probe import Probe, probe
from sphere_edge.errors import NotFoundError
from sphere_edge.profiles import DeviceProfile

# Words that do not identify a device.
_NOISE = {"developer", "kit", "board", "rev", "model", "google", "nvidia", "arm", "8gb", "gb", "b"}

_GENERIC = 0.3


@dataclass(frozen=True)
class Difference:
    """One figure in which a profile and the device differ; `matters` says why it is important.

    `forbids`: a bundle made for the profile does not run on the device.
    """

    figure: str
    profile: str
    device: str
    matters: str
    forbids: bool = False


@dataclass(frozen=True)
class Match:
    """A profile compared with a device; `likeness` from 0 to 1, only for sorting."""

    profile: DeviceProfile
    likeness: float
    differences: tuple[Difference, ...]

    @property
    def runs(self) -> bool:
        """Whether bundles made for the profile run on the device."""
        return not any(one.forbids for one in self.differences)

    def as_json(self) -> dict[str, object]:
        """The same for machines."""
        return {
            "profile": self.profile.name,
            "runs": self.runs,
            "likeness": round(self.likeness, 3),
            "differences": [asdict(difference) for difference in self.differences],
        }


def of_device(device: Device) -> list[Match]:
    """All profiles of the catalogue, the best for `device` first; raises what profile_of raises."""
    names = [name for name in profiles.names() if name != "host" or device.uri == "local"]
    return matches(probe(device), device.uri, map(profiles.load, names))


def runnable(found: Iterable[Match], uri: str) -> list[Match]:
    """Those whose bundles run on the device. Raises NotFoundError if there are none."""
    good = [one for one in found if one.runs]
    if not good:
        message = f"no profile suits {uri}"
        raise NotFoundError(message, hint=f"`package --profile auto --device {uri}` makes one")
    return good


def matches(probed: Probe, uri: str, catalogue: Iterable[DeviceProfile]) -> list[Match]:
    """All profiles, the best first: those whose bundles run there, then by likeness.

    Raises what profile_of raises.
    """
    device = profile_of(probed, uri)
    found = [
        Match(profile, _likeness(profile, device), tuple(differences(profile, device)))
        for profile in catalogue
    ]
    return sorted(found, key=lambda one: (not one.runs, -one.likeness, one.profile.name))


def differences(profile: DeviceProfile, device: DeviceProfile) -> Iterable[Difference]:
    """What differs between `device` and `profile`, the most important first."""
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
        # if it is only for a GPU that the device does not have.
        named = _GENERIC if _gpu_api(profile) == _gpu_api(device) else 0.0
    return 0.5 * named + 0.25 * features + 0.15 * memory + 0.1 * math.exp(-abs(math.log(cores)))


def _same_words(one: str, other: str) -> float:
    """Jaccard similarity of the words that identify devices."""
    words = [set(re.findall(r"[a-z]+\d*|\d+", text.lower())) - _NOISE for text in (one, other)]
    either = words[0] | words[1]
    return len(words[0] & words[1]) / len(either) if either else 0.0
