"""The HTML page of any report: tables and plots, everything in one file."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import jinja2
import markupsafe

from sphere_edge.bench import tables


@dataclass(frozen=True)
class Section:
    """A heading with a plot, a table, or both; the first column of a table names the row."""

    title: str
    plot: str | None = None
    columns: tuple[str, ...] = ()
    rows: tables.Rows | None = None
    # Columns from here on hold numbers.
    numbers_from: int = 1
    note: str | None = None


def page(
    title: str,
    subtitle: str,
    figures: list[tuple[str, str, str]],
    sections: list[Section],
    raw: str,
) -> str:
    """The page. `figures`: name, value and unit of what is read first; `raw`: JSON to keep."""
    source = resources.files("sphere_edge.bench").joinpath("page.html.j2").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source).render(
        title=title,
        subtitle=subtitle,
        figures=figures,
        sections=sections,
        # Our own drawings, whose texts matplotlib has escaped.
        drawing=markupsafe.Markup,
        raw=raw,
    )
