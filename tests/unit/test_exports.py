"""The names that `import sphere_edge` gives: adding one is a promise, taking one away a break."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import sphere_edge
from sphere_edge import errors
from sphere_edge.run import run

EXPORTED = [
    "AudioManager",
    "CancelledError",
    "FormatMismatchError",
    "ImageManager",
    "InternalError",
    "InvalidArgumentError",
    "LoadFailedError",
    "ModelCorruptError",
    "NotFoundError",
    "OutOfMemoryError",
    "SphereEdgeError",
    "Status",
    "StorageError",
    "TextManager",
    "TimeoutError",
    "UnavailableError",
    "UnsupportedError",
    "__version__",
    "resources",
]
# What would make `sphere-edge --help` slow.
HEAVY = ["ctypes", "numpy", "tvm", "pydantic", "rich", "subprocess"]


def test_these_names_are_exported() -> None:
    assert sphere_edge.__all__ == EXPORTED
    for name in EXPORTED:
        assert getattr(sphere_edge, name) is not None


def test_the_built_in_model_is_found_without_another_import() -> None:
    code = "import sphere_edge; print(sphere_edge.resources.tiny_model())"
    folder = run([sys.executable, "-c", code], timeout_s=60).stdout.strip()
    assert (Path(folder) / "model.safetensors").is_file()


def test_every_kind_of_error_is_exported() -> None:
    kinds = {kind.__name__ for kind in errors.SphereEdgeError.__subclasses__()}
    assert kinds <= set(sphere_edge.__all__)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import json, sys, sphere_edge; print(json.dumps(list(sys.modules)))"
    imported = json.loads(run([sys.executable, "-c", code], timeout_s=60).stdout)
    assert [name for name in HEAVY if name in imported] == []
