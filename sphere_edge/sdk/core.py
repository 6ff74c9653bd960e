"""The native core of an app: finished libraries, or what compiles it as part of the app."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from sphere_edge import console
from sphere_edge.console import Progress
from sphere_edge.errors import NotFoundError, UnsupportedError
from sphere_edge.sdk.app_bundle import AppBundle
from sphere_edge.toolchain import compilers, native, sources, targets
from sphere_edge.toolchain.targets import Target

# Every 64-bit phone runs it; ggml has no faster one to choose at run time.
_LEAST_TARGET = "android-arm64"


@dataclass(frozen=True)
class AndroidCore:
    """`libraries` are finished; where there are none, `definitions` are for cmake."""

    libraries: tuple[Path, ...] = ()
    definitions: dict[str, str] = field(default_factory=dict)


def for_android(bundles: Collection[AppBundle], progress: Progress) -> AndroidCore:
    """The core with the engines of `bundles`.

    Compiled here if `ANDROID_NDK_HOME` names an NDK; otherwise Android Studio does it, from sources
    in this machine's cache. Raises what `native.build` and fetching sources raise.
    """
    target = targets.NAMED[_LEAST_TARGET]
    engines = engines_of(bundles)
    if compilers.has_ndk():
        made = native.build(target, progress, engines)
        return AndroidCore(libraries=tuple(sorted((made.folder / "lib").glob("*.so"))))
    found = _from_source(target, progress, engines)
    for path in found.values():
        if " " in path:
            message = f"Gradle cannot pass on a path with a space: `{path}`"
            hint = f"set `{compilers.NDK_VARIABLE}`, so that the core is compiled now"
            raise UnsupportedError(message, hint=hint)
    return AndroidCore(definitions=found)


def engines_of(bundles: Collection[AppBundle]) -> tuple[str, ...]:
    """What the core must have in it, in its own order; compiled models (tvm) always run."""
    used = {"tvm", *(bundle.manifest.engine for bundle in bundles)}
    return tuple(engine for engine in native.ALL_ENGINES if engine in used)


def for_xcode(*engines: str) -> str:
    """What a Mac's cmake needs to compile the core for iOS: an argument on each line.

    Called by the script of a project, where Xcode is; fetches the sources.
    """
    target = targets.NAMED["ios-arm64"]
    found = _from_source(target, console.progress(), engines)
    if "ggml" in found["SE_PARTS"].split(";"):
        found["SE_GGML_GPU"] = "metal"
    return "\n".join(f"-D{name}={value}" for name, value in found.items())


def _from_source(target: Target, progress: Progress, engines: Collection[str]) -> dict[str, str]:
    """What cmake needs to compile `native/` with all its engines; fetches their sources."""
    parts = native.parts(target, engines)
    used = native.sources_of(parts)
    for name in used:
        sources.fetch(name, progress)
    return {
        "SE_PARTS": ";".join(parts),
        "SE_TVM_FROM_SOURCE": "ON",
        "SE_TVM_DIR": _package("tvm"),
        "SE_TVM_FFI_DIR": _package("tvm_ffi"),
        **{f"SE_{name.upper()}_DIR": str(sources.folder(sources.SOURCES[name])) for name in used},
    }


def _package(name: str) -> str:
    """The folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        message = f"the Python package `{name}` is not installed"
        raise NotFoundError(message, hint="install sphere-edge again")
    return str(spec.submodule_search_locations[0])
