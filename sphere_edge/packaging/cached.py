"""A model in place of a bundle: packaged for this machine at its first use, kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from sphere_edge import profiles, resources
from sphere_edge.bundle.files import MANIFEST
from sphere_edge.bundle.read import runnable
from sphere_edge.console import SILENT, Progress
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import ModelCorruptError, NotFoundError
from sphere_edge.packaging.built_in_models import TINY, TINY_IMAGE, path_of
from sphere_edge.toolchain import cache

# The built-in speech model is a file, which the runtime opens as it is.
_BUILT_IN = (TINY, TINY_IMAGE)
# One of them is in the folder of a model; a bundle has its manifest.
_MODEL_FILES = ("config.json", "model_index.json")
_SUFFIX = ".host"


def opened(path: Path, progress: Progress = SILENT) -> Path:
    """What the runtime opens for `path`: a bundle, a .gguf file, or a model on this machine.

    Raises what `bundle_of` and `runnable` raise.
    """
    bundle = bundle_of(path, progress)
    try:
        return runnable(bundle, profiles.host(), progress)
    except (ModelCorruptError, NotFoundError):
        if bundle == path:
            raise
    # Something has happened to the cache; what lies there can be made again.
    shutil.rmtree(bundle.parent)
    return runnable(bundle_of(path, progress), profiles.host(), progress)


def bundle_of(path: Path, progress: Progress = SILENT) -> Path:
    """`path` itself, or the bundle in the cache if `path` is a model (or the name of a built-in).

    It is packaged as `package` would do it without any option, and again when its files or this
    tool have changed. Raises what packaging raises, and StorageError.
    """
    if not _is_model(path):
        return path
    model = path.resolve() if path.exists() else path_of(str(path))
    assert model is not None  # _is_model: it exists, or is built in
    name = model.name if path.exists() else str(path)
    kept = cache.folder() / "packaged" / f"{name}-{_key(str(model.resolve()))}"
    host = profiles.host().model_dump_json()
    folder = kept / _key(_code(), host, *_state(model))
    waits = f"waiting for another process that packages `{name}`"
    with cache.made_once(folder, on_wait=lambda: progress.say(waits)) as made:
        if made is not None:
            # Only here: reading models is half a second of imports.
            from sphere_edge.bundle.write import BundleWriter
            from sphere_edge.packaging.finding import find
            from sphere_edge.packaging.pipeline import package

            source = find(str(path), progress=progress)
            progress.say(f"packaging `{name}` for this machine, once")
            output = made / f"{source.name}{_SUFFIX}"
            writer = BundleWriter(output, progress=progress)
            package(source, profiles.host(), PackageOptions(), writer)
            _leave_only(made, kept)
    (bundle,) = folder.glob(f"*{_SUFFIX}")
    return bundle


def _is_model(path: Path) -> bool:
    if not path.exists():
        return str(path) in _BUILT_IN
    return not (path / MANIFEST).exists() and any((path / name).is_file() for name in _MODEL_FILES)


def _leave_only(made: Path, folder: Path) -> None:
    """Removes what was made of the model's former files, which may be gigabytes."""
    for other in folder.iterdir():
        if other != made and not other.name.startswith("."):
            shutil.rmtree(other, ignore_errors=True)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _state(model: Path) -> list[str]:
    """What changes when somebody changes a file of the model: names, sizes and times."""
    files = sorted(file for file in model.rglob("*") if file.is_file())
    stats = [(file.relative_to(model), file.stat()) for file in files]
    return [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]


def _code() -> str:
    """What changes with this tool: a bundle is only as good as the code that made it."""
    digest = hashlib.sha256()
    for file in sorted(resources.code().rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
