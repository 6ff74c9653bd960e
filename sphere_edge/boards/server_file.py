"""The one file of a server for a board's Python: our modules and all packages they need, zipped."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from sphere_edge import console, resources
from sphere_edge.boards import packages
from sphere_edge.boards.python_there import Python
from sphere_edge.toolchain import cache

NAME = "sphere-edge-server.pyz"
# What a server never opens: models that come with us, and what packages test themselves with.
_NOT_OURS = ("data", "_data", "__pycache__")
_NOT_THEIRS = ("tests", "__pycache__")
# The same content gives the same bytes, so a board that has them is sent nothing.
_TIME = (1980, 1, 1, 0, 0, 0)


def make(python: Python, progress: console.Progress = console.SILENT) -> Path:
    """The file, from the cache or made now (seconds); raises what `packages.wheels` raises."""
    wheels = packages.wheels(python, progress)
    key = _key(wheels)
    target = cache.folder() / "servers" / f"{python.tag}-{python.architecture}-{key}"
    waits = "waiting for another process that makes a server's file"
    with cache.made_once(target, on_wait=lambda: progress.say(waits)) as made:
        if made is not None:
            with progress.step("making the server's file"):
                _write(made / NAME, wheels, key)
    return target / NAME


def _key(wheels: Path) -> str:
    digest = hashlib.sha256(wheels.name.encode())
    for name, path in _modules():
        digest.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _modules() -> Iterator[tuple[str, Path]]:
    """Our own files by their names in the zip."""
    code = resources.code()
    for path in sorted(code.rglob("*")):
        inside = path.relative_to(code)
        if path.is_file() and not set(inside.parts) & set(_NOT_OURS):
            yield f"sphere_edge/{inside.as_posix()}", path


def _write(path: Path, wheels: Path, key: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as out:
        _add(out, "content", key.encode())
        _add(out, "__main__.py", Path(__file__).with_name("start.py").read_bytes())
        for name, module in _modules():
            _add(out, name, module.read_bytes())
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as packed:
                for name in sorted(packed.namelist()):
                    if not (name.endswith("/") or set(name.split("/")) & set(_NOT_THEIRS)):
                        _add(out, f"packages/{name}", packed.read(name))


def _add(out: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    out.writestr(entry, content)
