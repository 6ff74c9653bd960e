"""A measurement as rows of words, the same in the terminal, in Markdown and in HTML."""

from __future__ import annotations

from sphere_edge.bench.measurement import Clock, Heat, Measurement, percentile
from sphere_edge.console import human_bytes

NOT_AVAILABLE = "not available"
SPEED = ("MEASURED", "MEDIAN →", "P10 →", "P90 →", "UPPER BOUND →", "UNIT", "SAMPLES →")
MEMORY = ("MEMORY", "PREDICTED →", "MEASURED →")
CONDITIONS = ("CONDITION", "READING")
KERNELS = ("KERNEL", "CALLS →", "SECONDS →", "PART →")

Rows = list[tuple[str, ...]]


def subtitle(measurement: Measurement) -> str:
    """What was measured where, in one line."""
    threads = f"{measurement.threads} thread{'s' * (measurement.threads > 1)}"
    gpu = f" on {measurement.gpu}" if measurement.gpu else ""
    return (
        f"{measurement.family} {measurement.quantization} by the {measurement.engine} engine, "
        f"backend {measurement.backend}{gpu}, {threads}, context {measurement.context_tokens}, "
        f"on {measurement.device.title}"
    )


def speed(measurement: Measurement) -> Rows:
    """One row per series, as in `SPEED`; the upper bound is of the device it was made for."""
    rows: Rows = [
        (
            one.title,
            number(one.median),
            number(one.p10),
            number(one.p90),
            _upper_bound(measurement, one.name),
            one.unit,
            str(len(one.samples)),
        )
        for one in measurement.series
    ]
    for name in ("prefill", "decode") if measurement.sustained else ():
        samples = [getattr(one, name) for one in measurement.sustained]
        spread = (number(percentile(samples, percent)) for percent in (50, 10, 90))
        most = _upper_bound(measurement, name)
        rows.append((f"sustained {name}", *spread, most, "tokens/s", str(len(samples))))
    return rows


def _upper_bound(measurement: Measurement, name: str) -> str:
    bounds = {
        "decode": measurement.upper_bounds.decode,
        "prefill": measurement.upper_bounds.prefill,
    }
    bound = bounds.get(name)
    return number(bound) if bound else "-"


def kernels(measurement: Measurement) -> Rows:
    """A GPU's kernels, the one that takes longest first, as in `KERNELS`."""
    total = sum(one.seconds for one in measurement.kernels) or 1.0
    return [
        (one.name, str(one.calls), number(one.seconds), f"{one.seconds / total:.1%}")
        for one in sorted(measurement.kernels, key=lambda one: -one.seconds)
    ]


def memory(measurement: Measurement) -> Rows:
    """Predicted and measured, as in `MEMORY`."""
    used = measurement.memory
    measured, predicted = human_bytes(used.peak_rss_bytes), used.predicted
    if predicted is None:
        return [("peak", NOT_AVAILABLE, measured)]
    return [
        ("weights", human_bytes(predicted.weights_bytes), ""),
        ("KV cache", human_bytes(predicted.kv_cache_bytes), ""),
        ("workspace", human_bytes(predicted.workspace_bytes), ""),
        ("peak", human_bytes(predicted.peak_bytes), measured),
    ]


def conditions(measurement: Measurement) -> Rows:
    """The sensors' readings, as in `CONDITIONS`; a missing sensor is `not available`."""
    found = measurement.conditions
    rows: Rows = [("temperature", _heat(found.processor))]
    if found.power is None:
        rows.append(
            ("power", f"{NOT_AVAILABLE}{f': {found.power_note}' if found.power_note else ''}")
        )
        rows.append(("energy", NOT_AVAILABLE))
    else:
        power = found.power
        idle = NOT_AVAILABLE if power.idle_w is None else f"{power.idle_w:.2f} W"
        rows.append(("power", f"{power.mean_w:.2f} W, idle {idle} ({power.source})"))
        per_token = (
            f", {power.joules_per_token:.3g} J per generated token"
            if power.joules_per_token is not None
            else ""
        )
        rows.append(("energy", f"{power.energy_j:.1f} J{per_token}"))
    rows += [(f"clock {one.name}", _clock(one)) for one in found.clocks]
    if not found.clocks:
        rows.append(("clocks", NOT_AVAILABLE))
    rows.append(("throttling", throttling(measurement)))
    if kept := speed_kept(measurement):
        rows.append(("speed kept", kept))
    return rows


def throttling(measurement: Measurement) -> str:
    """Whether the processor was slowed down, and what shows it."""
    found = measurement.conditions
    if found.throttled is None:
        return NOT_AVAILABLE
    return "; ".join(found.throttling) if found.throttled else "none seen"


def speed_kept(measurement: Measurement) -> str | None:
    """Decode speed in the last fifth of a sustained run against the first; None without."""
    samples = [one.decode for one in measurement.sustained]
    fifth = len(samples) // 5
    if fifth < 1:
        return None
    first, last = percentile(samples[:fifth], 50), percentile(samples[-fifth:], 50)
    return f"{last / first:.0%}: {number(first)} → {number(last)} tokens/s"


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def plain(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Column names without the mark of those that are aligned to the right."""
    return tuple(column.removesuffix(" →").lower() for column in columns)


def _heat(heat: Heat | None) -> str:
    if heat is None:
        return NOT_AVAILABLE

    def degrees(value: float | None) -> str:
        return NOT_AVAILABLE if value is None else f"{value:.1f} °C"

    return (
        f"{degrees(heat.before)} before, {degrees(heat.most)} at most, "
        f"{degrees(heat.after)} after ({heat.name})"
    )


def _clock(clock: Clock) -> str:
    def megahertz(value: float | None) -> str:
        return NOT_AVAILABLE if value is None else f"{value:.0f} MHz"

    return (
        f"{megahertz(clock.median)} (least {megahertz(clock.least)}, limit "
        f"{megahertz(clock.limit)} of {megahertz(clock.most)}), governor "
        f"{clock.governor or NOT_AVAILABLE}"
    )
