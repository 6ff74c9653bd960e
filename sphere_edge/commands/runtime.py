"""`sphere-edge runtime`: build the native runtime, and say what it is."""

from __future__ import annotations

from typing import Any

from sphere_edge import console


def build(profile: str, managers: str, *, as_json: bool) -> dict[str, Any]:
    """Builds the runtime for a device profile, or finds it in the cache; tells where it lies.

    `managers`: what it is to be able to do, as `text,audio`.
    """
    from sphere_edge import profiles
    from sphere_edge.toolchain import native, targets

    target = targets.for_profile(profiles.load(profile))
    wanted = tuple(name.strip() for name in managers.split(","))
    built = native.build(target, console.progress(), wanted)
    told = {
        "target": target.name,
        "folder": str(built.folder),
        "library": str(built.library),
        "runner": str(built.runner),
        "library_bytes": built.library.stat().st_size,
    }
    if as_json:
        console.write_json(told)
    else:
        size = console.human_bytes(built.library.stat().st_size)
        console.say(f"{target.name}: a library of {size} for {', '.join(wanted)}")
        console.write(str(built.folder))
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
