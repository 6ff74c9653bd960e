"""Builds of the native runtime for this machine and other targets, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphere_edge import errors, profiles
from sphere_edge.console import SILENT, Progress
from sphere_edge.runtime import library
from sphere_edge.toolchain import native, prebuilt, targets
from sphere_edge.toolchain.targets import Target


@dataclass(frozen=True)
class BuildRequest:
    """What to build: for the target, or for the profile's.

    `managers`: what the runtime can do, as `text,audio`, or `all`. `gpu`: ggml's backend; `cuda`
    is for the profile's GPU, `cuda:sm_87` for that one.
    """

    profile: str = "host"
    target: str | None = None
    managers: str = "all"
    gpu: str | None = None


@dataclass(frozen=True)
class Built:
    """A finished build, and what it was built for."""

    target: Target
    managers: tuple[str, ...]
    gpu: str | None
    build: native.NativeBuild


def build(request: BuildRequest, progress: Progress = SILENT) -> Built:
    """Builds the runtime. Raises NotFoundError, InvalidArgumentError, and what the build raises."""
    managers = _managers(request.managers)
    if request.target is None:
        target = targets.for_profile(profiles.load(request.profile))
        gpu = _cuda_of(request.profile) if request.gpu == "cuda" else request.gpu
    else:
        target, gpu = target_named(request.target), request.gpu
    engines = [engine for name in managers for engine in native.MANAGERS[name]]
    return Built(target, managers, gpu, native.build(target, progress, engines, gpu))


def _managers(text: str) -> tuple[str, ...]:
    wanted = tuple(name.strip() for name in text.split(","))
    if wanted == ("all",):
        return tuple(native.MANAGERS)
    for name in wanted:
        if name not in native.MANAGERS:
            message = f"no such manager: `{name}`"
            hint = f"choose from: {', '.join(native.MANAGERS)}"
            raise errors.InvalidArgumentError(message, hint=hint)
    return wanted


def target_named(name: str) -> Target:
    """`host` or one of `targets.NAMED`; raises NotFoundError."""
    if name == "host":
        return targets.host()
    if name not in targets.NAMED:
        message = f"the runtime is not built for a target `{name}`"
        hint = f"choose one of: host, {', '.join(targets.NAMED)}"
        raise errors.NotFoundError(message, hint=hint)
    return targets.NAMED[name]


def _cuda_of(profile: str) -> str:
    """`cuda` for the profile's GPU; if it has none, for that of this machine."""
    gpu = profiles.load(profile).gpu
    is_known = gpu is not None and gpu.api == "cuda" and gpu.architecture is not None
    return f"cuda:{gpu.architecture}" if gpu is not None and is_known else "cuda"


def of_this_machine(progress: Progress = SILENT) -> dict[str, Any]:
    """What the runtime of this machine reports about itself; it is built if need be."""
    core = library.load(progress)
    folder = core.path.parent.parent
    info = {"library": str(core.path), "origin": prebuilt.origin(folder)}
    return {**info, **library.system_info(core), **sizes(folder)}


def all_targets() -> list[dict[str, Any]]:
    """Every target as `described`, `host` first."""
    return [described(target) for target in (targets.host(), *targets.NAMED.values())]


def described(target: Target) -> dict[str, Any]:
    """The target, and the folder and sizes of its runtime if that is built."""
    info: dict[str, Any] = {
        "target": target.name,
        "compiler": target.compiler,
        "triple": target.triple or "the system's own",
        "cpu": target.cpu,
        "cpu_features": ["all of this machine's"] if target.name == "host" else target.features,
    }
    try:
        built = native.built(target)
        folder = native.find(target, built[0]) if built else None
    except errors.SphereEdgeError:
        # Without the NDK nothing can have been built for Android.
        folder = None
    if folder is not None:
        info |= {"folder": str(folder), "origin": prebuilt.origin(folder), **sizes(folder)}
    return info


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of a build's stripped files: of each, and in total."""
    files = sorted(path for part in ("bin", "lib") for path in (folder / part).glob("*"))
    sizes = {f"{path.name.split('.')[0]}_bytes": path.stat().st_size for path in files}
    return {**sizes, "bytes": sum(sizes.values())}
