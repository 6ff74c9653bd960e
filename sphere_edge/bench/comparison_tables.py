"""A comparison as rows of words and as JSON, the same in the terminal and in reports."""

from __future__ import annotations

from typing import Any

from sphere_edge.bench import tables
from sphere_edge.bench.compare import CONFIDENCE, Comparison, Ratio
from sphere_edge.bench.measurement import Measurement
from sphere_edge.console import human_bytes

COLUMNS = ("MEASURED", "BASELINE →", "OTHER →", "UNIT", "RATIO →", "95 % INTERVAL →", "RESULT")
NOTE = (
    f"Ratio: above 1 is better, for times too. The interval is a bootstrap of the ratio of the "
    f"medians at {CONFIDENCE:.0%}; where 1 is inside it, chance alone can explain the difference."
)


def rows(comparison: Comparison) -> tables.Rows:
    """One row per series and one for memory, as in `COLUMNS`."""
    found: tables.Rows = [
        (
            one.title,
            tables.number(one.baseline),
            tables.number(one.other),
            one.unit,
            f"{one.ratio:.3f}",
            interval(one),
            one.result,
        )
        for one in comparison.ratios
    ]
    peak = comparison.measurement.memory.peak_rss_bytes
    before = peak / comparison.memory
    sizes = human_bytes(before), human_bytes(peak)
    found.append(("peak memory", *sizes, "", f"{1 / comparison.memory:.3f}", "", ""))
    return found


def interval(one: Ratio) -> str:
    """`0.95 … 1.02`."""
    if one.low is None or one.high is None:
        return tables.NOT_AVAILABLE
    return f"{one.low:.3f} … {one.high:.3f}"


def as_json(
    baseline: Measurement, comparisons: list[Comparison], failed: dict[str, list[str]]
) -> dict[str, Any]:
    """What was compared, each ratio with its interval, and what failed."""
    return {
        "schema_version": 2,
        "confidence": CONFIDENCE,
        "baseline": _who(baseline),
        "runs": [
            {
                **_who(one.measurement),
                "differs": list(one.differs),
                "memory_ratio": one.memory,
                "ratios": [
                    {
                        "title": ratio.title,
                        "unit": ratio.unit,
                        "baseline": ratio.baseline,
                        "other": ratio.other,
                        "ratio": ratio.ratio,
                        "low": ratio.low,
                        "high": ratio.high,
                        "result": ratio.result,
                    }
                    for ratio in one.ratios
                ],
            }
            for one in comparisons
        ],
        "failed": failed,
    }


def name(measurement: Measurement) -> str:
    """A name that distinguishes runs for people."""
    return f"{measurement.model} on {measurement.device.title}, {measurement.measured_at}"


def _who(measurement: Measurement) -> dict[str, Any]:
    return {
        "model": measurement.model,
        "bundle_id": measurement.bundle_id,
        "device": measurement.device.title,
        "measured_at": measurement.measured_at,
        "peak_rss_bytes": measurement.memory.peak_rss_bytes,
    }
