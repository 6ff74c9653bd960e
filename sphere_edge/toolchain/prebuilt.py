"""Finished runtimes that came in wheels: used in place of a build of exactly the same inputs.

`make wheels` puts them into folders that are named like builds in the cache, `TARGET-KEY`, where
the key is the hash of all sources, compilers and settings. So a runtime of another version is
never found, and is built instead.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from sphere_edge import resources

# In the package itself: for machines on which the wheel can be installed.
_HERE = resources.code() / "_data" / "runtimes"
# The package of the distribution sphere-edge-runtimes, with what `deploy` sends to devices.
_MORE = "sphere_edge_runtimes"
# A file in a runtime's folder with the name and version of its wheel.
NOTE = "origin"


def are_for_here() -> bool:
    """Whether this package came with runtimes for machines like the one we run on."""
    return _HERE.is_dir()


def is_for_here(name: str) -> bool:
    """Whether the runtime whose build folder would be named `name` is among them."""
    return (_HERE / name).is_dir()


def find(name: str) -> Path | None:
    """The runtime whose build folder would be named `name`, for this machine or a device."""
    spec = importlib.util.find_spec(_MORE)
    packages = (spec.submodule_search_locations or ()) if spec else ()
    places = [_HERE, *(Path(package) / "data" for package in packages)]
    return next((place / name for place in places if (place / name).is_dir()), None)


def copy(found: Path, into: Path) -> None:
    """Copies the runtime into the empty folder `into`, so that it can be used like a build."""
    shutil.copytree(found, into, dirs_exist_ok=True)
    for program in (into / "bin").glob("*"):
        # Not every installer of wheels keeps this.
        program.chmod(0o755)


def origin(runtime: Path) -> str:
    """Where the runtime in this folder comes from, for people."""
    note = runtime / NOTE
    wheel = note.read_text(encoding="utf-8") if note.is_file() else None
    return f"the wheel of {wheel}" if wheel else "compiled on this machine"
