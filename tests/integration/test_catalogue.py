"""`package --profile` works for every device of the catalogue."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest
from catalogue_bundles import Bundles, Code, code_of

from sphere_edge import profiles
from sphere_edge.bundle.verify import verify

CODES: dict[Code, list[str]] = {}
for _name in profiles.names():
    CODES.setdefault(code_of(profiles.load(_name)), []).append(_name)


# One of each kind, which other tests package, too.
ALWAYS = {"host", "raspberry-pi-5", "jetson-orin-nano", "mac-m2", "iphone15-pro"}


def cases() -> Iterator[Any]:
    """The profiles of each code; all of them when what makes bundles has changed."""
    for names in CODES.values():
        marks = () if ALWAYS.intersection(names) else pytest.mark.group("catalogue")
        yield pytest.param(names, marks=marks, id=names[0])


@pytest.mark.parametrize("names", list(cases()))
def test_the_built_in_model_can_be_packaged_for_every_device(
    names: list[str], bundles: Bundles
) -> None:
    profile = profiles.load(names[0])
    made = bundles.of(names[0])
    # Whichever of them was asked for first, here or by another test of this session.
    assert made.manifest.profile in names
    verify(made.folder)
    assert all(
        profiles.load(name).memory.usable_bytes > made.manifest.memory.peak_bytes for name in names
    )
    wanted = profile.backends
    if "cuda" in wanted and importlib.util.find_spec("nvidia") is None:
        wanted = ("cpu",)
    assert set(made.manifest.backends) == {*wanted, "cpu"}
    assert made.manifest.backends[0] == wanted[0]
    # Their attention is our own: TVM's kernel of this name races (no barrier between its steps).
    code = [path.read_bytes() for path in (made.folder / "lib").rglob("*") if path.is_file()]
    assert not any(b"merge_state" in part for part in code)
