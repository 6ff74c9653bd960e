"""The output of NVIDIA's `tegrastats` on a Jetson: rails, temperatures and GPU, as tracks.

Source of the format: NVIDIA's developer guides, "Reported Statistics" of the tegrastats utility.
JetPack 4 writes `RAIL 1834/1834` in mW and `GR3D_FREQ 12%@921`, later ones `RAIL 4584mW/4584mW` and
`GR3D_FREQ 12%@[305]`.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Collection, Iterator, Sequence

from sphere_edge.bench.measurement import Track
from sphere_edge.devices.sensors import SensorKind, Unit

# The current value and the average since the start; only the current one is used.
_RAIL = re.compile(r"(?<!\S)([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+) (\d{1,6})(?:mW)?/\d{1,6}(?:mW)?(?!\S)")
_TEMPERATURE = re.compile(r"(?<!\S)([A-Za-z][A-Za-z0-9_-]{0,30})@(-?\d{1,3}(?:\.\d{1,3})?)C(?!\S)")
_GPU = re.compile(r"(?<!\S)GR3D_FREQ (\d{1,3})%(?:@\[?(\d{1,5}))?")
# A working part is never colder or hotter; parts that are off report -256.
_COLDEST_C, _HOTTEST_C = -40.0, 150.0
_UNITS: dict[SensorKind, Unit] = {
    "milliwatts": "W",
    "temperature": "°C",
    "gpu_clock": "MHz",
    "gpu_load": "%",
}
# Kinds of the kernel's own files that report the same as a kind of tegrastats.
_SAME: dict[SensorKind, tuple[SensorKind, ...]] = {
    "milliwatts": ("milliwatts", "power", "current"),
    "temperature": ("temperature",),
    "gpu_clock": ("gpu_clock",),
    "gpu_load": ("gpu_load",),
}
# A line belongs to the readings that come this long after it.
_VALID_S = 2.5
_MOST_TRACKS = 64

Key = tuple[SensorKind, str]


def parse(line: str) -> dict[Key, float]:
    """The readings in one line, in W, °C, MHz and %; implausible ones are left out."""
    return dict(_readings(line))


def tracks(
    lines: Sequence[tuple[float, str]], at_s: Sequence[float], known: Collection[SensorKind] = ()
) -> list[Track]:
    """One value per moment of `at_s` from the last line before it; lines come with their times.

    Kinds that the kernel's files report (`known`) are left out.
    """
    parsed = [parse(line) for _, line in lines]
    # Per moment the readings of the last line before it, none where that one is old.
    current = [_before(lines, parsed, moment) for moment in at_s]
    found: list[Track] = []
    for kind, name in dict.fromkeys(key for readings in parsed for key in readings):
        if any(same in known for same in _SAME[kind]) or len(found) == _MOST_TRACKS:
            continue
        values = tuple(readings.get((kind, name)) for readings in current)
        unit = _UNITS[kind]
        if any(value is not None for value in values):
            found.append(Track(kind=kind, name=name, unit=unit, path="tegrastats", values=values))
    return found


def _before(
    lines: Sequence[tuple[float, str]], parsed: Sequence[dict[Key, float]], moment: float
) -> dict[Key, float]:
    last = bisect.bisect_right(lines, moment, key=lambda line: line[0]) - 1
    return parsed[last] if last >= 0 and moment - lines[last][0] <= _VALID_S else {}


def _readings(line: str) -> Iterator[tuple[Key, float]]:
    for rail, milliwatts in _RAIL.findall(line):
        yield ("milliwatts", rail), int(milliwatts) / 1000
    for zone, degrees in _TEMPERATURE.findall(line):
        if _COLDEST_C < float(degrees) < _HOTTEST_C:
            yield ("temperature", zone), float(degrees)
    if gpu := _GPU.search(line):
        yield ("gpu_load", "GR3D"), float(gpu[1])
        if gpu[2]:
            yield ("gpu_clock", "GR3D"), float(gpu[2])
