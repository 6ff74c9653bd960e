"""Bundles that tests only read: packaged once for the same code, model, profile and options.

They lie in the user's cache folder, where all workers of a run and later runs find them, and are
made again when a file of what makes bundles, of the model or a pin changes. The tests of packaging
itself make their own.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from functools import cache
from pathlib import Path

from sphere_edge import packaging, profiles
from sphere_edge.bundle.read import Bundle
from sphere_edge.engines.options import PackageOptions
from sphere_edge.profiles import DeviceProfile
from sphere_edge.toolchain import cache as cache_folder
from tests import groups

# The packages that decide what is in a bundle.
MAKERS = (
    *("bundle", "compiler", "engines", "fit", "formats", "models", "packaging", "profiles"),
    *("quantization", "toolchain"),
)
# Of other versions of the code: these many are kept, and what was made in the last day.
_KEPT = 4
_DAY_S = 86_400


def made(
    model: str | Path,
    profile: DeviceProfile | None = None,
    options: PackageOptions | None = None,
) -> Bundle:
    """The bundle of a built-in model or of one in a file or folder, by default for this machine."""
    profile, options = profile or profiles.host(), options or PackageOptions()
    source = packaging.find(str(model))
    contents = _contents(source.path) if Path(model).exists() else str(model)
    inputs = (source.name, contents, profile.model_dump_json(), repr(options))
    key = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:16]
    of_this_code = cache_folder.folder() / "test-bundles" / _code()
    with cache_folder.made_once(of_this_code / key) as making:
        if making is not None:
            packaging.package(source, profile, options, making / source.name)
            _forget_old_code(of_this_code)
    return Bundle.open(of_this_code / key / source.name)


@cache
def _code() -> str:
    packages = (f"sphere_edge/{name}" for name in (*MAKERS, "data"))
    return groups.fingerprint((*packages, "device_profiles", "constraints.txt"))[:16]


def _contents(model: Path) -> str:
    if model.is_file():
        return groups.fingerprint((model.name,), model.parent)
    return groups.fingerprint(("*",), model)


def _forget_old_code(newest: Path) -> None:
    """Removes what former versions of the code made; other checkouts may still read the latest."""
    others = [path for path in newest.parent.iterdir() if path != newest]
    by_use = sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)
    for old in by_use[_KEPT:]:
        if old.stat().st_mtime < time.time() - _DAY_S:
            shutil.rmtree(old, ignore_errors=True)
