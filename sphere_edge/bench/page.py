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


@dataclass(frozen=True)
class Head:
    """What is read first; `figures`: name, value and unit of each."""

    title: str
    subtitle: str
    figures: list[tuple[str, str, str]]


def page(head: Head, sections: list[Section], raw: str) -> str:
    """The page; `raw`: JSON to keep in it."""
    source = resources.files("sphere_edge.bench").joinpath("page.html.j2").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source).render(
        title=head.title,
        subtitle=head.subtitle,
        figures=head.figures,
        sections=sections,
        # Our own drawings, whose texts matplotlib has escaped.
        drawing=markupsafe.Markup,
        raw=raw,
    )
