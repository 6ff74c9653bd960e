"""Makes a profile for a person to complete."""

from __future__ import annotations

from pathlib import Path

from sphere_edge.errors import StorageError
from sphere_edge.files import atomic_write
from sphere_edge.profiles import toml_file
from sphere_edge.profiles.loading import load, parse
from sphere_edge.profiles.profile import DeviceProfile


def copied(like: str, name: str | None = None) -> DeviceProfile:
    """The profile `like` under another name; raises what `load` raises."""
    profile = load(like)
    return profile.model_copy(update={"name": name or f"my-{profile.name}"})


def write(profile: DeviceProfile, output: Path | None = None) -> Path:
    """Writes `profile` to `output`, or to a file of its name here, whose name it takes.

    Raises StorageError if the file exists.
    """
    path = output or Path(f"{profile.name}.toml")
    if path.exists():
        message = f"`{path}` exists"
        raise StorageError(message, hint="choose another file with --output")
    text = toml_file.render(profile.model_copy(update={"name": path.stem}))
    parse(text, f"{path.stem}.toml")
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path
