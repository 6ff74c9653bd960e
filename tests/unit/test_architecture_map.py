"""The map in the docs is drawn from the code as it is."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made():
    return runpy.run_path(str(ROOT / "docs" / "make_architecture_map.py"))


def test_the_map_is_current(made):
    drawn = (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8")
    assert made["svg"]() == drawn, "run `python docs/make_architecture_map.py`"


def test_every_package_and_every_folder_has_a_box_that_says_what_it_is(made):
    python, native = made["python_uses"](), made["native_uses"]()
    assert {"__main__", "commands", "runtime", "errors"} <= set(python)
    assert {"api", "text", "base"} <= set(native)
    assert all(made["_python_summary"](name) for name in python)
    assert all(made["_native_summary"](name) for name in native)


def test_arrows_that_follow_from_others_are_left_out(made):
    uses = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}
    assert made["without_shortcuts"](uses) == {**uses, "a": frozenset("b")}


def test_a_circle_is_refused_by_name(made):
    uses = {"a": frozenset("b"), "b": frozenset("a"), "c": frozenset("a")}
    with pytest.raises(ValueError, match="in a circle: a, b"):
        made["without_shortcuts"](uses)
