"""Bundles that tests share are made again when code changes that decides what is in them."""

from __future__ import annotations

import json
import pkgutil
import sys

from sphere_edge import engines
from sphere_edge.run import run
from tests.made_bundles import MAKERS

# What of ours packaging imports without a bundle depending on it.
_AROUND = {"console", "devices", "errors", "files", "resources", "run", "whole_number"}


def test_every_package_that_packaging_imports_is_among_the_makers() -> None:
    found = pkgutil.iter_modules(engines.__path__, "sphere_edge.engines.")
    names = [*(module.name for module in found), "sphere_edge.packaging.pipeline"]
    code = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(json.dumps(list(sys.modules)))"
    )
    imported = json.loads(run([sys.executable, "-c", code], timeout_s=300).stdout)
    ours = {name.split(".")[1] for name in imported if name.startswith("sphere_edge.")}
    assert ours - _AROUND == set(MAKERS)
