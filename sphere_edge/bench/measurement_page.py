"""The HTML page of one measurement: its tables and plots."""

from __future__ import annotations

from sphere_edge.bench import plots, report_file, tables
from sphere_edge.bench.measurement import Measurement
from sphere_edge.bench.page import Head, Section, page


def render(measurement: Measurement) -> str:
    """The page."""
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
    head = Head(measurement.model, tables.subtitle(measurement), _figures(measurement))
    return page(head, sections, report_file.json_text(measurement.as_json()))


def _figures(measurement: Measurement) -> list[tuple[str, str, str]]:
    found = []
    for name in ("decode", "parallel_decode", "prefill", "first_token", "load"):
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
    return [(name, value or tables.NOT_AVAILABLE) for name, value in facts.items()]
