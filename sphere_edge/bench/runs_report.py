"""A measurement made of runs (speech, images) as HTML, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphere_edge.bench import report_file

_HEADER = ("MEASURED", "MEDIAN")


@dataclass(frozen=True)
class Runs:
    """The content of a report: `samples` are lines of numbers under `columns`, one for each run.

    `plotted`: the columns that are drawn, with what is written above; `figures`: name, value and
    unit of what is read first; `medians` and `facts`: names and values; `document`: all for JSON.
    """

    name: str
    device: str
    subtitle: str
    columns: tuple[str, ...]
    samples: tuple[tuple[float, ...], ...]
    plotted: Mapping[str, str]
    figures: list[tuple[str, str, str]]
    medians: list[tuple[str, ...]]
    facts: list[tuple[str, ...]]
    document: Mapping[str, Any]


def write(runs: Runs, path: Path) -> None:
    """Writes the report in the format of `path`'s suffix; raises as `report_file.check`."""
    report_file.check(path)
    report_file.save(rendered(runs, path.suffix), path)


def rendered(runs: Runs, suffix: str) -> str:
    """The report's text; `suffix` is one of `report_file.FORMATS`."""
    forms: dict[str, Callable[[Runs], str]] = {
        ".html": html,
        ".md": markdown,
        ".csv": comma_separated,
        ".json": as_json,
    }
    return forms[suffix](runs)


def as_json(runs: Runs) -> str:
    """One JSON document, as docs/bench.md describes it."""
    return report_file.json_text(runs.document)


def comma_separated(runs: Runs) -> str:
    """RFC 4180, one line per run."""
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow(["model", "device", "run", *runs.columns])
    for number, values in enumerate(runs.samples, 1):
        lines.writerow([runs.name, runs.device, number, *values])
    return out.getvalue()


def markdown(runs: Runs) -> str:
    """One table."""
    table = report_file.markdown_table([_HEADER, *runs.medians])
    return f"# {runs.name}\n\n{runs.subtitle}\n\n{table}"


def html(runs: Runs) -> str:
    """One page with its plots in it, readable offline, light or dark."""
    # Drawing takes a second to import; the other formats need nothing of it.
    from sphere_edge.bench import page

    sections = [
        page.Section("Speed and memory", _plot(runs), _HEADER, runs.medians),
        page.Section("What was measured", None, ("", ""), runs.facts, numbers_from=2),
    ]
    head = page.Head(runs.name, runs.subtitle, runs.figures)
    return page.page(head, sections, as_json(runs))


def _plot(runs: Runs) -> str:
    from sphere_edge.bench import drawing

    def drawn() -> str:
        made, all_axes = drawing.figure(9, 2.2, 1, len(runs.plotted))
        numbers = range(1, len(runs.samples) + 1)
        for axes, (column, title) in zip(all_axes, runs.plotted.items(), strict=True):
            values = [sample[runs.columns.index(column)] for sample in runs.samples]
            axes.scatter(numbers, values, color=drawing.SERIES[0], s=16, zorder=3)
            axes.set_ylim(0, 1.15 * max(values) or 1)
            axes.set_xticks([1, len(values)] if len(values) > 1 else [1])
            axes.set_title(title)
        return drawing.svg(made, "runs", f"{', '.join(map(': '.join, runs.medians))}.")

    return str(drawing.styled(drawn)())
