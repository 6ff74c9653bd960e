"""Makes a device profile from a probe, which is the source of its figures."""

from __future__ import annotations

import re

from sphere_edge import errors
from sphere_edge.devices.probe import Probe
from sphere_edge.profiles import DeviceProfile

_SOURCE = "reported by the device itself (sphere-edge devices)"
_PLANNED = "planning value: {share} of what the device reported"
# Android ends apps under pressure long before the RAM is full; elsewhere a fifth is the system's.
_USABLE = {"android": (1, 2), "linux": (4, 5), "macos": (4, 5)}
_TRIPLES = {
    # 28: Android 9, the oldest that the runtime is built for.
    ("android", "bionic"): "{}-linux-android28",
    ("linux", "gnu"): "{}-unknown-linux-gnu",
    ("linux", "musl"): "{}-unknown-linux-musl",
}
# Compute capabilities: developer.nvidia.com/cuda-gpus.
_TEGRA = {
    "tegra210": "sm_53",
    "tegra186": "sm_62",
    "tegra194": "sm_72",
    "tegra234": "sm_87",
    "tegra264": "sm_110",
}
# The oldest that CUDA 13 makes code for, and that our kernels were compiled for.
_OLDEST_CUDA = 75
_ROOMY_BYTES = 6 << 30


def profile_of(probe: Probe, uri: str, *, name: str | None = None) -> DeviceProfile:
    """A profile of what the device reports; figures that it does not report are left out.

    `name`: by default made of its model. Raises UnsupportedError for a device that nothing can be
    compiled for, and UnavailableError where it hides a required figure.
    """
    total = probe.memory_total_bytes
    if total is None:
        message = f"{uri} does not report how much memory it has"
        hint = "`sphere-edge profiles list` has profiles to choose from"
        raise errors.UnavailableError(message, hint=hint)
    part, whole = _USABLE[probe.os]
    title = probe.model or probe.soc or probe.cpu_model or uri
    gpu = _gpu(probe)
    fields = {
        "name": name or _slug(title),
        "title": title,
        "soc": probe.soc,
        "os": probe.os,
        "os_version": probe.os_release,
        "triple": _triple(probe, uri),
        "cpu": {
            "features": probe.cpu_features,
            "performance_cores": probe.performance_cores or probe.cores or 1,
            "clusters": tuple(
                f"{one.cores}x {one.max_mhz / 1000:.2f} GHz"
                for one in probe.clusters
                if one.max_mhz
            ),
        },
        "memory": {"total_bytes": total, "usable_bytes": total * part // whole},
        "gpu": gpu,
        "backends": _backends(gpu),
        "verification": "not checked",
        "defaults": {"context_tokens": 4096 if total >= _ROOMY_BYTES else 2048},
        "sources": {
            "cpu": _SOURCE,
            "memory": _SOURCE,
            **({"gpu": _SOURCE} if gpu else {}),
            "memory.usable_bytes": _PLANNED.format(share=f"{part}/{whole}"),
        },
    }
    return DeviceProfile.model_validate(fields)


def _triple(probe: Probe, uri: str) -> str:
    form = _TRIPLES.get((probe.os, probe.libc or ("bionic" if probe.os == "android" else "gnu")))
    if form is None or probe.architecture not in ("aarch64", "x86_64"):
        message = f"no models can be compiled for {uri}: {probe.architecture} {probe.os}"
        raise errors.UnsupportedError(message, hint="64-bit ARM and x86 with Linux or Android can")
    return form.format(probe.architecture)


def _slug(title: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return words[:60].rstrip("-") or "device"


def _backends(gpu: dict[str, object] | None) -> tuple[object, ...]:
    """What kernels exist for; those for CUDA are made for one architecture, so it must be known."""
    if gpu is None:
        return ("cpu",)
    if gpu["api"] == "cuda":
        known = re.fullmatch(r"sm_(\d{1,4})", str(gpu["architecture"]))
        if known is None or int(known[1]) < _OLDEST_CUDA:
            return ("cpu",)
    return (gpu["api"], "cpu")


def _gpu(probe: Probe) -> dict[str, object] | None:
    """The GPU if the way to it is known."""
    if probe.gpu is None:
        return None
    named = probe.gpu.lower()
    if "nvidia" in named:
        soc = (probe.soc or "").lower()
        tegra = next((chip for chip in _TEGRA if chip in soc), None)
        return {
            "name": probe.gpu,
            "api": "cuda",
            "architecture": _TEGRA[tegra] if tegra else None,
            "unified": "tegra" in named,
        }
    if "adreno" in named or "mali" in named:
        return {"name": probe.gpu, "api": "opencl"}
    return None
