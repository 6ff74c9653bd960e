"""Runs `sphere-edge` as a process of its own, as a user does; its failures keep to the rules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "sphere_edge"]


def sphere_edge(
    *words: str | Path,
    stdin: str = "",
    cwd: Path | None = None,
    timeout_s: float = 300,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """The ended process with all it said."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )


def refused(run: subprocess.CompletedProcess[str], code: int, *sentences: str) -> None:
    """It ended with `code`, an `error: …` and a `hint: …`, no traceback and no data."""
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    said, _, hint = run.stderr.rpartition("\n\nhint: ")
    error = said.splitlines()[-1]
    assert error.startswith("error: ")
    assert not error.endswith(".")
    assert hint.strip()
    assert run.stdout == ""
    for sentence in sentences:
        assert sentence in run.stderr
