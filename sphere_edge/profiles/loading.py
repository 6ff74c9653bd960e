"""Finds device profiles by name, reads them from TOML files, and makes the host's own."""

from __future__ import annotations

import difflib
import functools
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sphere_edge import resources
from sphere_edge.errors import InvalidArgumentError, NotFoundError
from sphere_edge.profiles import host_probe
from sphere_edge.profiles.profile import DeviceProfile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HOST_SOURCE = "probed on this machine"


def names() -> tuple[str, ...]:
    """All profile names, `host` first."""
    files = resources.folder("device_profiles").glob("*.toml")
    return ("host", *sorted(file.stem for file in files))


def load(name: str) -> DeviceProfile:
    """The profile `name`, or that in the file `name` if it ends in `.toml`.

    Raises NotFoundError with the nearest names when there is none, and what `read` raises.
    """
    if name.endswith(".toml"):
        return read(Path(name))
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        message = f"no device profile named `{name}`"
        raise NotFoundError(message, hint=f"choose one of: {', '.join(near or known)}")
    if name == "host":
        return host()
    return read(resources.folder("device_profiles") / f"{name}.toml")


def read(path: Path) -> DeviceProfile:
    """The profile in the TOML file `path`; InvalidArgumentError says what is wrong with it."""
    return parse(_text(path), path)


def parse(text: str, path: Path | str) -> DeviceProfile:
    """The profile in `text`, the content of the file `path`; raises as `read` does."""
    path = Path(path)
    try:
        profile = DeviceProfile.model_validate(_with_soc(_toml(text, path)))
    except ValidationError as error:
        message = f"`{path}` is not a device profile: {describe(error)}"
        hint = "`sphere-edge profiles show pixel8` shows what belongs into one"
        raise InvalidArgumentError(message, hint=hint) from error
    if profile.name != path.stem:
        message = f"`{path}` calls itself `{profile.name}`: file and name must be the same"
        raise InvalidArgumentError(message, hint=f"rename it to `{profile.name}.toml`")
    return profile


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        message = f"there is no file `{path}`"
        raise NotFoundError(message, hint="a profile is a TOML file") from error
    except UnicodeDecodeError as error:
        message = f"`{path}` is not a TOML file: {error}"
        raise InvalidArgumentError(message) from error


def _toml(text: str, path: Path) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"`{path}` is not a TOML file: {error}"
        hint = "`sphere-edge profiles show pixel8` shows what belongs into one"
        raise InvalidArgumentError(message, hint=hint) from error
    return fields


def _with_soc(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` with what is known of its system on a chip, where `soc` names a file of ours."""
    soc = fields.get("soc")
    folder = resources.folder("device_profiles") / "socs"
    # A name is looked up in a listing, so it can never be a path.
    known = {path.stem: path for path in folder.glob("*.toml")}
    if not isinstance(soc, str) or soc not in known:
        return fields
    shared = _toml(_text(known[soc]), known[soc])
    parts = {
        part: _merged(shared.get(part, {}), given)
        for part in ("cpu", "memory", "gpu", "sources")
        if (given := fields.get(part, {})) or part in shared
    }
    return {**fields, **parts, "soc": shared.get("title", soc)}


def _merged(shared: Any, given: Any) -> Any:
    """`given`, and what only `shared` has, table by table."""
    if not isinstance(shared, dict) or not isinstance(given, dict):
        return given
    return {
        **shared,
        **{key: _merged(shared.get(key), value) for key, value in given.items()},
    }


def describe(error: ValidationError) -> str:
    """What is wrong, as `cpu.features.0: input should be …`, one part per field."""
    return "; ".join(
        ": ".join(
            filter(
                None, (".".join(map(str, item["loc"])), item["msg"][:1].lower() + item["msg"][1:])
            )
        )
        for item in error.errors(include_url=False)
    )


@functools.cache
def host() -> DeviceProfile:
    """The machine we run on. A fifth of its memory is left to the system."""
    found = host_probe.probe()
    return DeviceProfile.model_validate(
        {
            "name": "host",
            "title": f"this machine ({found.title})",
            "os": found.os,
            "triple": found.triple,
            "cpu": {"features": found.features, "performance_cores": found.performance_cores},
            "memory": {
                "total_bytes": found.memory_bytes,
                "usable_bytes": found.memory_bytes * 4 // 5,
            },
            "defaults": {"quantization": "q4", "context_tokens": 4096},
            "verification": "run",
            "sources": {"cpu": _HOST_SOURCE, "memory": _HOST_SOURCE},
        }
    )
