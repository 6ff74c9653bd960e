"""docs/cli.md says what the command line says."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_command_line_reference_is_current() -> None:
    made = runpy.run_path(str(DOCS / "make_cli_reference.py"))["reference"]()
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == made, (
        "run python docs/make_cli_reference.py"
    )
