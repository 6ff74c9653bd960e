"""The catalogue's table in the docs is the catalogue's."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_is_the_catalogues():
    made = runpy.run_path(str(DOCS / "make_profile_table.py"))
    text = (DOCS / "profiles.md").read_text(encoding="utf-8")
    assert made["page"](text) == text, "run `python docs/make_profile_table.py`"
