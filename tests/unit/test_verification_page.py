"""docs/verification.md agrees with its details, with the files and with the profiles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from sphere_edge import profiles

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
DETAILS = (ROOT / "docs" / "verification-details.md").read_text(encoding="utf-8")
STATES = {
    "run",
    "run, random weights",
    "run, emulated",
    "run, software GPU",
    "run, stand-in",
    "compiled only",
    "not checked",
}
LONGEST_CELL = 80
# `tests/unit/test_bench*.py`, or `test_adapter.py` where the folder was named before.
SCRIPT = re.compile(r"`((?:[\w.*/-]*/)?[\w*]+\.py)\b")
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


@dataclass(frozen=True)
class Row:
    """A row of the page: what its link shows, where it leads, and its other cells."""

    what: str
    target: str
    cells: tuple[str, ...]

    @property
    def states(self) -> tuple[str, ...]:
        """Three of a target (bundle, runtime, on the device), else one and who checks it."""
        return self.cells if len(self.cells) == 3 else self.cells[:1]


def _rows() -> list[Row]:
    rows = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and (link := LINK.fullmatch(cells[0])):
            rows.append(Row(link[1], link[2], tuple(cells[1:])))
    return rows


ROWS = _rows()


def _anchor(heading: str) -> str:
    """As GitHub makes it: https://github.com/gjtorikian/html-pipeline, toc_filter."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _section(row: Row) -> str:
    """The heading and text that a row's link leads to."""
    parts = re.split(r"^## ", DETAILS, flags=re.MULTILINE)[1:]
    anchor = row.target.partition("#")[2]
    return next(part for part in parts if _anchor(part.partition("\n")[0]) == anchor)


@pytest.mark.parametrize("script", sorted(set(SCRIPT.findall(PAGE + DETAILS))))
def test_a_script_that_the_pages_name_exists(script: str) -> None:
    folders = ("tests", "benchmarks", "training")
    patterns = (script, *(f"{folder}/**/{script}" for folder in folders))
    assert any(any(ROOT.glob(pattern)) for pattern in patterns), f"no `{script}`"


def test_every_row_links_to_its_own_details_and_no_details_are_lost() -> None:
    headings = re.findall(r"^## (.+)$", DETAILS, flags=re.MULTILINE)
    anchors = [f"verification-details.md#{_anchor(heading)}" for heading in headings]
    assert [row.target for row in ROWS] == anchors


def test_every_state_is_one_that_the_page_explains() -> None:
    key = PAGE.partition("\n## ")[0]
    explained = set(re.findall(r"^\| ([^|]+) \|", key, flags=re.MULTILINE)) - {"state"}
    assert explained == STATES
    for row in ROWS:
        assert set(row.states) <= STATES, row.what


def test_every_cell_is_one_short_line() -> None:
    for line in PAGE.splitlines():
        if line.startswith("|"):
            for cell in LINK.sub(r"\1", line).strip("|").split("|"):
                assert len(cell.strip()) <= LONGEST_CELL, cell


def test_no_row_is_a_duplicate() -> None:
    names = [row.what for row in ROWS]
    assert sorted(names) == sorted(set(names))


def test_what_counts_as_run_names_the_test_or_program_that_runs_it() -> None:
    for row in ROWS:
        if len(row.cells) == 2 and row.cells[0].startswith("run"):
            assert row.cells[1], row.what


def test_what_was_emulated_or_played_says_so_in_its_details() -> None:
    words = {
        "run, emulated": r"qemu|emulated",
        "run, software GPU": r"PoCL|lavapipe",
        "run, stand-in": r"stand-in|test daemon|program of ours|real adb server",
        "run, random weights": r"random",
    }
    for row in ROWS:
        for state in set(row.states) & set(words):
            assert re.search(words[state], _section(row)), (row.what, state)


def test_a_device_counts_as_run_where_the_page_says_so_and_nowhere_else() -> None:
    claimed = {name for name in profiles.names() if profiles.load(name).verification == "run"}
    # PoCL is an OpenCL device of a PC, lavapipe a Vulkan device: what their profiles ask for.
    counted = {"run", "run, software GPU"}
    rows = [row for row in ROWS if len(row.cells) == 3 and row.cells[2] in counted]
    on_devices = " ".join(row.what for row in rows)
    named = {name for name in profiles.names() if re.search(rf"\b{name}\b(?!-)", on_devices)}
    assert claimed == named
