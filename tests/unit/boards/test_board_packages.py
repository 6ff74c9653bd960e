"""The pinned packages of a server: for every Python one version of each, with hashes, as tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sphere_edge.boards import packages, python_there
from sphere_edge.boards.python_there import Python

ROOT = Path(__file__).parents[3]
PYTHONS = [(3, minor) for minor in range(python_there.OLDEST[1], python_there.NEWEST[1] + 1)]


def pinned(version: tuple[int, int]) -> dict[str, str]:
    python = Python("/usr/bin/python3", version, "aarch64", 35)
    lines = [line for line in packages.requirements(python) if not line.startswith(" ")]
    names = [line.rstrip(" \\\n").split("==") for line in lines]
    found = {name: number for name, number in names}
    assert len(found) == len(names), "a package has two versions"
    return found


@pytest.mark.parametrize("version", PYTHONS)
def test_every_python_gets_the_versions_that_the_tests_run_with(version: tuple[int, int]) -> None:
    there = {
        "python_version": ".".join(map(str, version)),
        "python_full_version": f"{version[0]}.{version[1]}.0",
    }
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    held = [Requirement(line) for line in lines if line and not line.startswith("#")]
    tested = {
        one.name: str(one.specifier).removeprefix("==")
        for one in held
        if one.marker is None or one.marker.evaluate(there)
    }
    found = pinned(version)
    assert {"pydantic-core", "starlette", "uvicorn", "numpy"} <= set(found)
    assert ("exceptiongroup" in found) == (version < (3, 11))
    assert {name: tested.get(name) for name in found} == found


def test_every_pin_has_a_hash_and_no_line_names_an_index() -> None:
    text = (ROOT / "sphere_edge/boards/requirements.txt").read_text()
    assert not re.search(r"https?:|--(extra-)?index|--find-links|--trusted", text)
    for one in re.split(r"\n(?! )", text.strip()):
        if not one.startswith("#"):
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", one), one


def test_only_what_a_server_uses_is_sent() -> None:
    unused = {"typer", "rich", "paramiko", "adbutils", "apache-tvm", "gguf", "tokenizers", "jinja2"}
    assert not unused & set(pinned((3, 12)))
