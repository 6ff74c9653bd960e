"""Writes a measurement as HTML, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from sphere_edge.bench import report_file, tables
from sphere_edge.bench.measurement import Measurement


def write(measurement: Measurement, path: Path) -> None:
    """Writes the report in the format of `path`'s suffix; raises as `report_file.check`."""
    report_file.check(path)
    report_file.save(rendered(measurement, path.suffix), path)


def rendered(measurement: Measurement, suffix: str) -> str:
    """The report's text; `suffix` is one of `report_file.FORMATS`."""
    forms: dict[str, Callable[[Measurement], str]] = {
        ".html": html,
        ".md": markdown,
        ".csv": comma_separated,
        ".json": as_json,
    }
    return forms[suffix](measurement)


def as_json(measurement: Measurement) -> str:
    """One JSON document, as docs/bench.md describes it."""
    return report_file.json_text(measurement.as_json())


def comma_separated(measurement: Measurement) -> str:
    """RFC 4180, one line per sample: of speed, of a sustained run, of a sensor."""
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow(["model", "device", "kind", "name", "tokens", "at_s", "value", "unit"])
    # A spreadsheet takes a cell that begins like this for a formula.
    who = tuple(
        f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
        for text in (measurement.model, measurement.device.title)
    )
    for one in measurement.series:
        times = one.started_s or ("",) * len(one.samples)
        for at, sample in zip(times, one.samples, strict=True):
            lines.writerow([*who, "sample", one.name, one.tokens or "", at, sample, one.unit])
    for some in measurement.sustained:
        for name, speed in (("prefill", some.prefill), ("decode", some.decode)):
            lines.writerow([*who, "sustained", name, "", some.started_s, speed, "tokens/s"])
    memory = measurement.memory
    lines.writerow([*who, "memory", "peak_rss", "", "", memory.peak_rss_bytes, "B"])
    if memory.predicted is not None:
        lines.writerow([*who, "memory", "predicted", "", "", memory.predicted.peak_bytes, "B"])
    if (sensors := measurement.sensors) is not None:
        for track in sensors.tracks:
            for at, value in zip(sensors.at_s, track.values or track.words, strict=True):
                cell = "" if value is None else value
                lines.writerow([*who, track.kind, track.name, "", at, cell, track.unit])
    return out.getvalue()


def markdown(measurement: Measurement) -> str:
    """Three tables."""
    parts = [
        [tables.plain(tables.SPEED), *tables.speed(measurement)],
        [tables.plain(tables.MEMORY), *tables.memory(measurement)],
        [tables.plain(tables.CONDITIONS), *tables.conditions(measurement)],
    ]
    heading = f"# {measurement.model}\n\n{tables.subtitle(measurement)}\n"
    return "\n".join([heading, *map(report_file.markdown_table, parts)])


def html(measurement: Measurement) -> str:
    """One page with its plots in it, readable offline, light or dark."""
    # Drawing takes a second to import; the other formats need nothing of it.
    from sphere_edge.bench import measurement_page

    return measurement_page.render(measurement)
