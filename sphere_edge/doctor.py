"""Checks the installation: what is there, what is missing, and the next command."""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Literal

from sphere_edge import console
from sphere_edge.errors import SphereEdgeError

State = Literal["ok", "optional", "missing"]
# Sources, zig's cache and the build itself take about 300 MB, plus the models.
_WANTED_FREE_BYTES = 2 << 30
_WANTED_MEMORY_BYTES = 2 << 30


@dataclasses.dataclass(frozen=True)
class Finding:
    """One check; `next_command` is what to do about it, None if nothing.

    `optional`: missing, but needed only for the purpose that `found` names.
    """

    name: str
    state: State
    found: str
    next_command: str | None = None


def examine() -> list[Finding]:
    """Looks at everything that sphere-edge depends on; changes nothing."""
    return [_examined(name, look) for name, look in _LOOKS.items()]


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing that is needed is missing."""
    return all(finding.state != "missing" for finding in findings)


def _examined(name: str, look: Callable[[], Finding]) -> Finding:
    """What `look` finds; an error is a finding, too."""
    try:
        return look()
    except SphereEdgeError as error:
        return Finding(name, "missing", error.message, error.hint)


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _packages() -> Finding:
    from packaging.requirements import Requirement

    reinstall = f"{sys.executable} -m pip install --upgrade sphere-edge"
    try:
        lines = metadata.requires("sphere-edge") or []
    except metadata.PackageNotFoundError:
        return Finding("packages", "missing", "sphere-edge itself is not installed", reinstall)
    named = [Requirement(line) for line in lines]
    required = [one for one in named if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong: list[str] = []
    for requirement in required:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, not {requirement.specifier}")
    if wrong:
        return Finding("packages", "missing", "; ".join(wrong), reinstall)
    return Finding("packages", "ok", f"all {len(required)} as required")


def _pip() -> Finding:
    try:
        return Finding("pip", "ok", metadata.version("pip"))
    except metadata.PackageNotFoundError:
        return Finding("pip", "missing", "fetches sources", f"{sys.executable} -m ensurepip")


def _zig() -> Finding:
    from sphere_edge.toolchain import compilers

    return _compiler("zig", "ziglang", compilers.zig)


def _cmake() -> Finding:
    from sphere_edge.toolchain import compilers

    return _compiler("cmake", "cmake", compilers.cmake)


def _ninja() -> Finding:
    from sphere_edge.toolchain import compilers

    return _compiler("ninja", "ninja", compilers.ninja)


def _compiler(name: str, package: str, program: Callable[[], Path]) -> Finding:
    from sphere_edge.errors import NotFoundError
    from sphere_edge.toolchain import native, targets

    try:
        return Finding(name, "ok", f"{metadata.version(package)} at {program()}")
    except (NotFoundError, metadata.PackageNotFoundError):
        is_needed = native.level_in_wheel(targets.host()) is None
        found = "compiles the runtime" if is_needed else "compiles runtimes for other devices"
        install = f"{sys.executable} -m pip install 'sphere-edge[build]'"
        return Finding(name, "missing" if is_needed else "optional", found, install)


def _cache() -> Finding:
    from sphere_edge.toolchain import cache

    folder = cache.folder()
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        other = f"export {cache.FOLDER_VARIABLE}=FOLDER"
        return Finding("cache", "missing", f"cannot write to `{folder}`", other)
    free = cache.free_bytes()
    found = f"{folder}, {console.human_bytes(free)} free"
    if free < _WANTED_FREE_BYTES:
        return Finding("cache", "missing", found, "free some space there")
    return Finding("cache", "ok", found)


def _runtime() -> Finding:
    from sphere_edge.toolchain import native, prebuilt, targets

    engines = next(iter(native.built(targets.host())), None)
    if engines and (folder := native.find(targets.host(), engines)):
        found = f"{folder} ({', '.join(engines)}), {prebuilt.origin(folder)}"
        return Finding("runtime", "ok", found)
    found = "not built yet; it will be at first use"
    return Finding("runtime", "optional", found, "sphere-edge runtime build")


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    total, free = console.human_bytes(memory.total), console.human_bytes(memory.available)
    state: State = "ok" if memory.total >= _WANTED_MEMORY_BYTES else "missing"
    return Finding("memory", state, f"{total}, {free} available")


def _cpu() -> Finding:
    from sphere_edge import profiles

    profile = profiles.host()
    features = ", ".join(profile.cpu.features) or "no vector instructions that we use"
    cores = profile.cpu.performance_cores
    return Finding("cpu", "ok", f"{profile.title}, {cores} cores, {features}")


def _adb() -> Finding:
    from sphere_edge.toolchain import compilers

    if program := compilers.adb():
        return Finding("adb", "ok", str(program))
    # adbutils brings one along where it has a wheel; on ARM it has none.
    return Finding("adb", "optional", "reaches Android devices", "apt install adb")


def _ndk() -> Finding:
    from sphere_edge.errors import NotFoundError
    from sphere_edge.toolchain import compilers

    try:
        return Finding("ndk", "ok", str(compilers.ndk()))
    except NotFoundError as error:
        return Finding("ndk", "optional", "builds for Android", error.hint)


_LOOKS: dict[str, Callable[[], Finding]] = {
    "python": _python,
    "packages": _packages,
    "pip": _pip,
    "zig": _zig,
    "cmake": _cmake,
    "ninja": _ninja,
    "cache": _cache,
    "runtime": _runtime,
    "memory": _memory,
    "cpu": _cpu,
    "adb": _adb,
    "ndk": _ndk,
}
