"""docs/verification.md agrees with what is there: its files, its states, the profiles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sphere_edge import profiles

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
PAGE = TEXT.partition("\n## Python versions")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|")
]
STATES = ("run", "compiled only", "not checked", "not built", "failures run", "built-in model")
# `tests/unit/test_bench*.py`, or `test_adapter.py` where the folder was named before.
SCRIPT = re.compile(r"`((?:[\w.*/-]*/)?[\w*]+\.py)\b")


@pytest.mark.parametrize("script", sorted(set(SCRIPT.findall(PAGE))))
def test_a_script_that_the_page_leans_on_is_there(script: str) -> None:
    folders = ("tests", "benchmarks", "training")
    places = (script, *(f"{folder}/**/{script}" for folder in folders))
    assert any(any(ROOT.glob(place)) for place in places), f"no `{script}`"


def test_every_row_begins_its_state_with_a_word_that_the_page_explains() -> None:
    for row in ROWS:
        if row[1] not in ("state", "bundle is built") and set(row[1]) != {"-"}:
            assert row[1].startswith(STATES), row[0]


def test_no_row_stands_twice() -> None:
    names = [row[0] for row in ROWS if set(row[0]) != {"-"} and row[0] not in ("what", "the same")]
    assert sorted(names) == sorted(set(names))


def test_a_device_counts_as_run_where_the_page_says_so_and_nowhere_else() -> None:
    claimed = {name for name in profiles.names() if profiles.load(name).verification == "run"}
    rows = [row for row in ROWS if len(row) == 4 and row[3].startswith("run")]
    there = " ".join(row[0] for row in rows if not row[3].startswith("run under qemu"))
    told = {name for name in profiles.names() if re.search(rf"\b{name}\b(?!-)", there)}
    assert claimed == told
