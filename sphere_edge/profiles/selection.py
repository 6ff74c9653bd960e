"""Chooses profiles by system, GPU, system on a chip and memory."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sphere_edge.errors import InvalidArgumentError
from sphere_edge.profiles.loading import load, names
from sphere_edge.profiles.profile import DeviceProfile


@dataclass(frozen=True)
class Filter:
    """What a profile must match; None: anything. `memory`: at least so much RAM, as `8GB`."""

    os: str | None = None
    gpu: str | None = None
    soc: str | None = None
    memory: str | None = None


def matching(wanted: Filter) -> list[DeviceProfile]:
    """The profiles that match; InvalidArgumentError for a value that no profile could have."""
    least = _bytes(wanted.memory) if wanted.memory is not None else 0
    known = [load(name) for name in names()]
    _require("--os", wanted.os, {profile.os for profile in known})
    _require("--gpu", wanted.gpu, {_gpu(profile) for profile in known})
    return [
        profile
        for profile in known
        if wanted.os in (None, profile.os)
        and wanted.gpu in (None, _gpu(profile))
        and (wanted.soc or "").lower() in (profile.soc or "").lower()
        and profile.memory.total_bytes >= least
    ]


def _require(flag: str, value: str | None, offered: set[str]) -> None:
    if value is not None and value not in offered:
        message = f"invalid value `{value}` for {flag}"
        raise InvalidArgumentError(message, hint=f"choose one of: {', '.join(sorted(offered))}")


def _gpu(profile: DeviceProfile) -> str:
    return profile.gpu.api if profile.gpu else "none"


def _bytes(text: str) -> int:
    """`8GB`, `8 GiB` or `8` (GiB) in bytes."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?(?:GiB|GB|G)?", text)
    if match is None:
        message = f"invalid value `{text}` for --memory"
        raise InvalidArgumentError(message, hint="expected the least in GiB, as in --memory 8")
    return int(float(match[1]) * 2**30)
