"""`sphere-edge runtime`: build the native runtime, and say what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphere_edge import console, errors
from sphere_edge.toolchain.targets import Target


def build(
    profile: str, target: str | None, managers: str, gpu: str | None, *, as_json: bool
) -> dict[str, Any]:
    """Builds the runtime for a target, or a device profile's; tells where it lies.

    `managers`: what it is to be able to do, as `text,audio`, or `all`. `gpu`: ggml's backend;
    `cuda` is for the profile's GPU, `cuda:sm_87` for that one.
    """
    from sphere_edge.toolchain import native

    chosen = _target(profile, target)
    if gpu == "cuda" and target is None:
        gpu = _cuda_of(profile)
    wanted = tuple(name.strip() for name in managers.split(","))
    if wanted == ("all",):
        wanted = tuple(native.MANAGERS)
    for name in wanted:
        if name not in native.MANAGERS:
            message = f"no such manager: `{name}`"
            hint = f"choose from: {', '.join(native.MANAGERS)}"
            raise errors.InvalidArgumentError(message, hint=hint)
    engines = [engine for name in wanted for engine in native.MANAGERS[name]]
    built = native.build(chosen, console.progress(), engines, gpu)
    told = {
        "target": chosen.name,
        "folder": str(built.folder),
        "library": str(built.library) if built.library else None,
        "runner": str(built.runner),
        **_sizes(built.folder),
    }
    if as_json:
        console.write_json(told)
    else:
        sizes = ", ".join(f"{name} {size}" for name, size in _shown_sizes(built.folder).items())
        through = f" with {gpu}" if gpu is not None else ""
        console.say(f"{chosen.name}{through}: for {', '.join(wanted)}: {sizes}")
        console.write(str(built.folder))
    return told


def info(target: str | None, *, as_json: bool) -> dict[str, Any]:
    """Loads the runtime of this machine, building it if need be, and asks it about itself.

    With `target`: what a runtime for that is made for, and its size if it is built.
    """
    told = _ask_ours() if target is None else _describe(_target("host", target))
    if as_json:
        console.write_json(told)
    else:
        console.write_table(("NAME", "VALUE"), [(name, _shown(told[name])) for name in told])
    return told


def list_targets(*, as_json: bool) -> list[dict[str, Any]]:
    """Every target, the CPU features that it uses, and which of them are built."""
    from sphere_edge.toolchain import targets

    described = [_describe(target) for target in (targets.host(), *targets.NAMED.values())]
    if as_json:
        console.write_json(described)
    else:
        rows = [
            (one["target"], one["compiler"], _shown(one["cpu_features"]), _bytes(one.get("bytes")))
            for one in described
        ]
        console.write_table(("TARGET", "COMPILER", "CPU FEATURES", "BUILT"), rows)
    return described


def _target(profile: str, name: str | None) -> Target:
    from sphere_edge import profiles
    from sphere_edge.toolchain import targets

    if name is None:
        return targets.for_profile(profiles.load(profile))
    if name == "host":
        return targets.host()
    if name not in targets.NAMED:
        message = f"the runtime is not built for a target `{name}`"
        hint = f"choose one of: host, {', '.join(targets.NAMED)}"
        raise errors.NotFoundError(message, hint=hint)
    return targets.NAMED[name]


def _cuda_of(profile: str) -> str:
    """`cuda` for the GPU that the profile names; if it names none, for that of this machine."""
    from sphere_edge import profiles

    gpu = profiles.load(profile).gpu
    is_known = gpu is not None and gpu.api == "cuda" and gpu.architecture is not None
    return f"cuda:{gpu.architecture}" if gpu is not None and is_known else "cuda"


def _ask_ours() -> dict[str, Any]:
    from sphere_edge.runtime import library
    from sphere_edge.toolchain import prebuilt

    core = library.load(console.progress())
    folder = core.path.parent.parent
    told = {"library": str(core.path), "origin": prebuilt.origin(folder)}
    return {**told, **library.system_info(core), **_sizes(folder)}


def _describe(target: Target) -> dict[str, Any]:
    from sphere_edge.toolchain import native, prebuilt

    told: dict[str, Any] = {
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
        # Without the NDK there is nothing that could have been built for Android.
        folder = None
    if folder is not None:
        told |= {"folder": str(folder), "origin": prebuilt.origin(folder), **_sizes(folder)}
    return told


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of a build's stripped files: of each, and in all."""
    files = sorted(path for part in ("bin", "lib") for path in (folder / part).glob("*"))
    sizes = {f"{path.name.split('.')[0]}_bytes": path.stat().st_size for path in files}
    return {**sizes, "bytes": sum(sizes.values())}


def _shown_sizes(folder: Path) -> dict[str, str]:
    return {
        name.removesuffix("_bytes").replace("bytes", "in all"): console.human_bytes(size)
        for name, size in _sizes(folder).items()
    }


def _bytes(size: int | None) -> str:
    return "no" if size is None else console.human_bytes(size)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
