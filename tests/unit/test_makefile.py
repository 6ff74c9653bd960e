"""What a newcomer types does not depend on how their shell is set up."""

from __future__ import annotations

import subprocess
from pathlib import Path


def test_programs_keep_their_bytecode_wherever_they_are_started() -> None:
    """Container images forbid it, and each program would compile all its imports again."""
    show = 'show:\n\t@echo "<$${PYTHONDONTWRITEBYTECODE-may write}>"'
    done = subprocess.run(
        ["make", "--no-print-directory", "--eval", show, "show"],
        cwd=Path(__file__).parents[2],
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "<may write>\n"
