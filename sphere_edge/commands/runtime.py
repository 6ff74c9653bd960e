"""`sphere-edge runtime`: builds the native runtime, and shows what it is."""

from __future__ import annotations

from typing import Any

from sphere_edge import console
from sphere_edge.runtime import builds
from sphere_edge.runtime.builds import BuildRequest


def build(request: BuildRequest, *, as_json: bool) -> dict[str, Any]:
    """Builds the runtime and prints its folder."""
    made = builds.build(request, console.progress())
    folder, library = made.build.folder, made.build.library
    info = {
        "target": made.target.name,
        "folder": str(folder),
        "library": str(library) if library else None,
        "runner": str(made.build.runner),
        **builds.sizes(folder),
    }
    if as_json:
        console.write_json(info)
    else:
        named = {
            name.removesuffix("_bytes").replace("bytes", "in total"): size
            for name, size in builds.sizes(folder).items()
        }
        sizes = ", ".join(f"{name} {console.human_bytes(size)}" for name, size in named.items())
        through = f" with {made.gpu}" if made.gpu is not None else ""
        console.say(f"{made.target.name}{through}: for {', '.join(made.managers)}: {sizes}")
        console.write(str(folder))
    return info


def info(target: str | None, *, as_json: bool) -> dict[str, Any]:
    """Loads the runtime of this machine, building it if need be, and shows what it reports.

    With `target`: what a runtime for that is built for, and its size if it is built.
    """
    if target is None:
        found = builds.of_this_machine(console.progress())
    else:
        found = builds.described(builds.target_named(target))
    if as_json:
        console.write_json(found)
    else:
        console.write_table(("NAME", "VALUE"), [(name, _shown(found[name])) for name in found])
    return found


def list_targets(*, as_json: bool) -> list[dict[str, Any]]:
    """Every target, the CPU features that it uses, and which of them are built."""
    described = builds.all_targets()
    if as_json:
        console.write_json(described)
    else:
        rows = [
            (one["target"], one["compiler"], _shown(one["cpu_features"]), _bytes(one.get("bytes")))
            for one in described
        ]
        console.write_table(("TARGET", "COMPILER", "CPU FEATURES", "BUILT"), rows)
    return described


def _bytes(size: int | None) -> str:
    return "no" if size is None else console.human_bytes(size)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
