"""`sphere-edge sdk` from an installed wheel, which has no checkout beside it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from sphere_edge import resources
from sphere_edge.run import run
from tests import groups, sdk_projects

pytestmark = pytest.mark.group("sdk")


def test_an_installed_wheel_renders_what_a_checkout_renders(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, groups.ROOT], timeout_s=900)
    (wheel,) = wheels.iterdir()
    run([*pip, "install", "--quiet", "--no-deps", "--target", site, wheel], timeout_s=900)
    # What it depends on is this environment's; the package itself is found first.
    environment = {"PYTHONPATH": str(site), "SPHERE_EDGE_CACHE": str(resources.cache_folder())}
    where = "import sphere_edge; print(sphere_edge.__file__)"
    found = run([sys.executable, "-c", where], timeout_s=60, cwd=tmp_path, env=environment).stdout
    assert Path(found.strip()).is_relative_to(site)
    for kind, profile in (("android", "pixel8"), ("ios", "iphone15-pro")):
        bundle = sdk_projects.bundle("tiny", profile).folder
        words = [sys.executable, "-m", "sphere_edge", "sdk", kind, bundle, "--json"]
        output = tmp_path / kind / "MyApp"
        done = run([*words, "-o", output], timeout_s=600, cwd=tmp_path, env=environment)
        here = sdk_projects.rendered(kind, tmp_path / f"{kind}-here", bundle)
        written = json.loads(done.stdout)["written"]
        assert len(written) > 100
        for path in written:
            assert (output / path).read_bytes() == (here / path).read_bytes(), path
            assert os.access(output / path, os.X_OK) == os.access(here / path, os.X_OK), path
