"""What is known about a model: tables for a person, and a document for the next program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """As `console.write_table` takes it."""

    columns: Row
    rows: Sequence[Row]


@dataclass(frozen=True)
class Description:
    """The same things twice: `tables`, and `as_json` with all of each."""

    tables: tuple[Table, ...]
    as_json: dict[str, Any]


def facts(rows: Sequence[Row]) -> Table:
    """A table of names and what they are, without a head."""
    return Table(("", ""), rows)
