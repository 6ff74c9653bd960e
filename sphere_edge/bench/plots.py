"""The plots of one measurement: samples, readings over time, memory and its prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from sphere_edge.bench import conditions, power
from sphere_edge.bench.drawing import GRID, INK, MUTED, SERIES, figure, line, styled, svg
from sphere_edge.bench.measurement import Measurement, Sensors, Track
from sphere_edge.bench.tables import number
from sphere_edge.console import human_bytes

_MIB = 2**20
_ACROSS = 3
_MOST_LINES = 6


@dataclass(frozen=True)
class _Panel:
    title: str
    draw: Callable[[Axes], None]


@styled
def samples(measurement: Measurement) -> str:
    """Every sample of every series, with its median."""
    series = measurement.series
    rows = -(-len(series) // _ACROSS)
    made, all_axes = figure(9, 2.0 * rows, rows, _ACROSS)
    for one, axes in zip(series, all_axes, strict=False):
        numbers = range(1, len(one.samples) + 1)
        axes.axhline(one.median, color=SERIES[1], linewidth=1.2)
        axes.scatter(numbers, one.samples, color=SERIES[0], s=16, zorder=3)
        axes.set_title(f"{one.title}: {number(one.median)} {one.unit}")
        axes.set_ylim(0, 1.15 * max(one.samples))
        axes.set_xlim(0.5, len(one.samples) + 0.5)
        axes.set_xticks([1, len(one.samples)] if len(one.samples) > 1 else [1])
    for axes in all_axes[len(series) :]:
        axes.set_axis_off()
    medians = "; ".join(f"{one.title} {number(one.median)} {one.unit}" for one in series)
    return svg(made, "samples", f"Samples in the order taken. Medians: {medians}.")


@styled
def memory(measurement: Measurement) -> str:
    """The predicted parts in one bar, the measured peak in another."""
    used = measurement.memory
    made, (axes,) = figure(9, 1.9, 1)
    axes.barh(0, used.peak_rss_bytes / _MIB, color=SERIES[0], height=0.5)
    names = ["measured"]
    if used.predicted is not None:
        parts = used.predicted
        rest = parts.peak_bytes - (
            parts.weights_bytes + parts.kv_cache_bytes + parts.workspace_bytes
        )
        left = 0.0
        for color, (name, size) in zip(
            SERIES[1:],
            (
                ("weights", parts.weights_bytes),
                ("KV cache", parts.kv_cache_bytes),
                ("workspace", parts.workspace_bytes),
                ("runtime", rest),
            ),
            strict=False,
        ):
            width = size / _MIB
            axes.barh(1, width, left=left, height=0.5, color=color, label=name)
            left += width
        axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
        names.append("predicted")
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("MiB")
    predicted = human_bytes(used.predicted.peak_bytes) if used.predicted else "not available"
    measured = human_bytes(used.peak_rss_bytes)
    return svg(made, "memory", f"Peak memory: measured {measured}, predicted {predicted}.")


@styled
def over_time(measurement: Measurement) -> str | None:
    """Speed, temperature, power, clocks and memory one below the other; None without any."""
    panels = [*_speed(measurement)]
    sensors = measurement.sensors
    if sensors is not None:
        panels += [*_readings(sensors, measurement)]
    if not panels:
        return None
    made, all_axes = figure(9, 1.7 * len(panels) + 0.4, len(panels))
    for panel, axes in zip(panels, all_axes, strict=True):
        panel.draw(axes)
        axes.set_title(panel.title)
        axes.sharex(all_axes[-1])
        axes.tick_params(labelbottom=axes is all_axes[-1])
        if sensors is not None:
            axes.axvspan(sensors.started_s, sensors.ended_s, color=GRID, alpha=0.25, linewidth=0)
    all_axes[-1].set_xlabel("seconds; shaded while measuring")
    titles = ", ".join(panel.title for panel in panels)
    return svg(
        made, "time", f"Over time, one below the other: {titles}. The tables have the numbers."
    )


def _speed(measurement: Measurement) -> list[_Panel]:
    def sustained(axes: Axes) -> None:
        at = [one.ended_s for one in measurement.sustained]
        line(axes, at, [one.decode for one in measurement.sustained], SERIES[0])
        axes.set_ylim(bottom=0)

    def single(axes: Axes) -> None:
        for color, one in zip(SERIES, timed, strict=False):
            axes.scatter(one.ended_s, one.samples, color=color, s=14, label=one.title, zorder=3)
        axes.set_ylim(bottom=0)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    if measurement.sustained:
        return [_Panel("decode, sustained (tokens/s)", sustained)]
    timed = [one for one in measurement.series if one.ended_s and one.unit == "tokens/s"]
    return [_Panel("speed (tokens/s)", single)] if timed else []


def _readings(sensors: Sensors, measurement: Measurement) -> list[_Panel]:
    panels = []
    if hot := _hottest(sensors):
        panels.append(_Panel("temperature (°C)", lambda axes: _tracks(axes, hot, sensors)))
    if found := power.curve(sensors):
        source, curve = found

        def watts(axes: Axes) -> None:
            line(axes, [at for at, _ in curve], [value for _, value in curve], SERIES[2])
            axes.set_ylim(bottom=0)

        panels.append(_Panel(f"power (W): {source}", watts))
    if clocks := conditions.of_kind(sensors, "clock"):
        panels.append(_Panel("clock (MHz)", lambda axes: _tracks(axes, clocks, sensors)))
    if gpu := conditions.of_kind(sensors, "gpu_clock"):
        panels.append(_Panel("GPU clock (MHz)", lambda axes: _tracks(axes, gpu, sensors)))
    if any(one is not None for one in sensors.resident_bytes):
        panels.append(_Panel("memory (MiB)", lambda axes: _resident(axes, sensors, measurement)))
    return panels


def _hottest(sensors: Sensors) -> list[Track]:
    """The hottest zones: a phone has dozens."""

    def peak(track: Track) -> float:
        return max((value for value in track.values if value is not None), default=-1e9)

    found = [track for track in conditions.of_unit(sensors, "°C") if peak(track) > -1e9]
    return sorted(found, key=peak, reverse=True)[:_MOST_LINES]


def _tracks(axes: Axes, tracks: Sequence[Track], sensors: Sensors) -> None:
    for color, track in zip(SERIES, tracks, strict=False):
        points = [
            (at, value)
            for at, value in zip(sensors.at_s, track.values, strict=True)
            if value is not None
        ]
        line(
            axes, [at for at, _ in points], [value for _, value in points], color, label=track.name
        )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def _resident(axes: Axes, sensors: Sensors, measurement: Measurement) -> None:
    points = [
        (at, size / _MIB)
        for at, size in zip(sensors.at_s, sensors.resident_bytes, strict=True)
        if size is not None
    ]
    line(axes, [at for at, _ in points], [size for _, size in points], SERIES[3], label="measured")
    if predicted := measurement.memory.predicted:
        peak = predicted.peak_bytes / _MIB
        axes.axhline(peak, color=MUTED, linestyle="--", linewidth=1.2, label="predicted peak")
    axes.axhline(
        measurement.memory.peak_rss_bytes / _MIB, color=INK, linewidth=0.8, label="measured peak"
    )
    axes.set_ylim(bottom=0)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
