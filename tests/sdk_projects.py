"""Rendered app projects of small bundles, which no test changes."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import profiles, resources
from sphere_edge.bundle.read import Bundle
from tests import made_bundles
from tests.cli_process import in_process

MODELS = ("tiny", "tiny-whisper", "tiny-image")


def bundles(profile: str) -> list[Path]:
    """A bundle for each screen, made for the phone `profile`."""
    return [bundle(model, profile).folder for model in MODELS]


def bundle(model: str, profile: str) -> Bundle:
    return made_bundles.made(model, profiles.load(profile))


def rendered(kind: str, folder: Path, *words: str | Path) -> Path:
    """The project that `sphere-edge sdk KIND` makes in `folder`."""
    done = in_process("sdk", kind, *words, "-o", folder / "MyApp")
    assert done.returncode == 0, done.stderr
    return folder / "MyApp"


def texts(project: Path) -> dict[str, str]:
    """Every text file of the template as it was rendered."""
    template = resources.folder("templates")
    endings = {path.suffix for path in template.rglob("*") if path.is_file()} | {""}
    ours = (path for path in project.rglob("*") if path.is_file() and path.suffix in endings)
    found = {path.relative_to(project).as_posix(): path for path in ours}
    left_out = ("sphere-edge/", "SphereEdge/", "Bundles/", "app/src/main/assets", "weights/src")
    return {
        name: path.read_text(encoding="utf-8")
        for name, path in found.items()
        if not name.startswith(left_out)
    }
