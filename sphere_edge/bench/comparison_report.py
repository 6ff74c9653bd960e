"""Writes a comparison of runs as HTML, Markdown or JSON."""

from __future__ import annotations

from pathlib import Path

from sphere_edge.bench import comparison_tables, report_file, tables
from sphere_edge.bench.compare import Comparison
from sphere_edge.bench.measurement import Measurement

FORMATS = (".html", ".md", ".json")


def write(
    baseline: Measurement,
    comparisons: list[Comparison],
    failed: dict[str, list[str]],
    path: Path,
) -> None:
    """Writes the comparison in the format of `path`'s suffix."""
    report_file.check(path, FORMATS)
    if path.suffix == ".json":
        text = report_file.json_text(comparison_tables.as_json(baseline, comparisons, failed))
    elif path.suffix == ".md":
        text = markdown(baseline, comparisons)
    else:
        from sphere_edge.bench import comparison_page

        text = comparison_page.render(baseline, comparisons)
    report_file.save(text, path)


def markdown(baseline: Measurement, comparisons: list[Comparison]) -> str:
    """One table per run."""
    parts = [f"# {baseline.model}, runs compared\n\n{comparison_tables.NOTE}\n"]
    for one in comparisons:
        differs = f"Differs: {'; '.join(one.differs)}\n\n" if one.differs else ""
        table = [tables.plain(comparison_tables.COLUMNS), *comparison_tables.rows(one)]
        title = comparison_tables.name(one.measurement)
        parts.append(f"## {title}\n\n{differs}{report_file.markdown_table(table)}")
    return "\n".join(parts)
