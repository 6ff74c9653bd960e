"""`sphere-edge runtime`: build the native runtime, and say what it is."""

from __future__ import annotations

from typing import Any

from sphere_edge import console


def build(profile: str, *, as_json: bool) -> dict[str, str]:
    """Builds the runtime for a device profile, or finds it in the cache; tells where it lies."""
    from sphere_edge import profiles
    from sphere_edge.toolchain import native, targets

    target = targets.for_profile(profiles.load(profile))
    built = native.build(target, console.progress())
    told = {
        "target": target.name,
        "folder": str(built.folder),
        "library": str(built.library),
        "runner": str(built.runner),
    }
    if as_json:
        console.write_json(told)
    else:
        console.write(told["folder"])
    return told


def info(*, as_json: bool) -> dict[str, Any]:
    """Loads the runtime of this machine, building it if need be, and asks it about itself."""
    from sphere_edge.runtime import library

    core = library.load(console.progress())
    told = {"library": str(core.path), **library.system_info(core)}
    if as_json:
        console.write_json(told)
    else:
        console.write_table(("NAME", "VALUE"), [(name, _shown(told[name])) for name in told])
    return told


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
