"""The HTML page: tables beside plots, everything in one file."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import jinja2
import markupsafe

from sphere_edge.bench import plots, report, tables
from sphere_edge.bench.measurement import Measurement


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


def of_measurement(measurement: Measurement) -> str:
    """The report on one measurement."""
    sections = [
        Section(
            "Speed",
            plots.samples(measurement),
            tables.plain(tables.SPEED),
            tables.speed(measurement),
        ),
        Section(
            "Memory",
            plots.memory(measurement),
            tables.plain(tables.MEMORY),
            tables.memory(measurement),
            note="Measured: the peak of resident memory as the kernel counted it.",
        ),
        Section(
            "Conditions",
            plots.over_time(measurement),
            tables.plain(tables.CONDITIONS),
            tables.conditions(measurement),
            numbers_from=2,
        ),
        Section("What was measured", None, ("", ""), _facts(measurement), numbers_from=2),
    ]
    return page(
        measurement.model,
        tables.subtitle(measurement),
        _figures(measurement),
        sections,
        report.as_json(measurement),
    )


def _figures(measurement: Measurement) -> list[tuple[str, str, str]]:
    found = []
    for name in ("decode", "prefill", "first_token", "load"):
        one = next((one for one in measurement.series if one.name == name), None)
        if one is not None and one.unit == "s" and one.median < 1:
            found.append((one.title, tables.number(1000 * one.median), "ms"))
        elif one is not None:
            found.append((one.title, tables.number(one.median), one.unit))
    peak, predicted = measurement.memory.peak_rss_bytes, measurement.memory.predicted
    unit = f"MiB, {peak / predicted.peak_bytes:.0%} of predicted" if predicted else "MiB"
    found.append(("peak memory", tables.number(peak / 2**20), unit))
    hot = measurement.conditions.processor
    if hot is not None and hot.most is not None:
        found.append(("hottest", f"{hot.most:.0f}", "°C"))
    power = measurement.conditions.power
    if power is not None:
        found.append(("power", tables.number(power.mean_w), "W"))
    return found


def _facts(measurement: Measurement) -> tables.Rows:
    device = measurement.device
    facts = {
        "device": f"{device.title} ({device.uri})",
        "system": " ".join(filter(None, (device.os, device.kernel))),
        "processor": " ".join(filter(None, (device.soc, device.cpu, device.architecture))),
        "bundle": measurement.bundle_id,
        "made for": measurement.profile,
        "measured at": measurement.measured_at,
        "sphere-edge": measurement.sphere_edge,
    }
    return [(name, value or tables.NOT_TOLD) for name, value in facts.items()]
