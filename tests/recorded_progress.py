"""A progress that remembers what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sphere_edge.console import SILENT, Step, Unit


class RecordedProgress:
    """Silent; `lines` holds what was said, `warnings` what was warned of, `steps` the titles."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.lines: list[str] = []
        self.warnings: list[str] = []

    @contextmanager
    def step(self, title: str, total: float | None = None, unit: Unit = "items") -> Iterator[Step]:
        """A step whose title is kept."""
        self.steps.append(title)
        with SILENT.step(title, total, unit) as step:
            yield step

    def say(self, text: str) -> None:
        """Keeps the line."""
        self.lines.append(text)

    def warn(self, text: str) -> None:
        """Keeps the warning."""
        self.warnings.append(text)
