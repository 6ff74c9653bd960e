"""What all report files share: which formats there are, and how each is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sphere_edge.errors import InvalidArgumentError
from sphere_edge.files import atomic_write

FORMATS = (".html", ".md", ".csv", ".json")


def check(path: Path, formats: tuple[str, ...] = FORMATS) -> None:
    """InvalidArgumentError unless `path` ends in one of `formats` and has a folder to go to."""
    if path.suffix not in formats:
        message = f"a report cannot be written as `{path.name}`"
        raise InvalidArgumentError(message, hint=f"end its name in one of: {', '.join(formats)}")
    if not path.parent.is_dir():
        message = f"there is no folder `{path.parent}` for the report"
        raise InvalidArgumentError(message)


def save(text: str, path: Path) -> None:
    """Writes `text` with its line ends as they are."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def json_text(document: Any) -> str:
    """`document` as every JSON report is written."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def markdown_table(table: list[tuple[str, ...]]) -> str:
    """Header and rows; what would end a cell is escaped."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table]
    return "\n".join([lines[0], "|" + "---|" * len(table[0]), *lines[1:]]) + "\n"
