"""Good and bad manifests (tests/data/manifests), which both readers must judge alike."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from sphere_edge.bundle.manifest import bundle_id, render

FOLDER = Path(__file__).parent / "data" / "manifests"
GOOD = sorted((FOLDER / "good").iterdir())
BAD = sorted((FOLDER / "bad").iterdir())


def bundle(manifest: Path, into: Path) -> Path:
    """A bundle folder with this manifest, and its files, which are all empty."""
    folder = into / manifest.stem
    folder.mkdir()
    content = manifest.read_bytes()
    (folder / "bundle.json").write_bytes(content)
    with suppress(ValueError, KeyError, TypeError, RecursionError, OSError):
        for file in json.loads(content)["files"]:
            path = folder / file["path"]
            if path.is_relative_to(folder) and ".." not in path.parts and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"")
    return folder


def write(folder: Path, document: dict[str, Any]) -> None:
    """Writes a changed bundle.json with the id that goes with it."""
    document["id"] = bundle_id(document)
    (folder / "bundle.json").write_bytes(render(document))
