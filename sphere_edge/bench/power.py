"""Electrical power over time from whatever a device has, and the energy that answers took."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sphere_edge.bench.measurement import Power, Sensors, Sustained, Track

# (seconds, watts)
Curve = list[tuple[float, float]]

# The rail that supplies everything, as NVIDIA names it on its boards.
_TOTAL = re.compile(r"vdd_in|pom_5v_in|vdd_5v_in|sys.?in|total", re.IGNORECASE)
_CURRENT_FILE = re.compile(r"(.*)/curr(\d+)_input")
# Fewer readings are not a curve.
_LEAST_SAMPLES = 3


def summarize(
    sensors: Sensors, sustained: Sequence[Sustained], new_tokens: int
) -> tuple[Power | None, str | None]:
    """The power of the first source with readings, best first; else why there is none."""
    notes: list[str] = []
    for source, curve, note in (_rail(sensors), _battery(sensors), _counter(sensors)):
        if curve:
            power = _spent((source, curve), sensors, sustained, new_tokens)
            if power is not None:
                return power, None
            note = f"{source}: too few readings while it ran; measure longer, with --sustain"
        if note:
            notes.append(note)
    return None, "; ".join(notes) or None


def energy(curve: Curve, started: float, ended: float) -> float | None:
    """Joules between two moments: the trapezoids between readings, cut at both ends."""
    inside = [(at, watts) for at, watts in curve if started < at < ended]
    if len(inside) < _LEAST_SAMPLES:
        return None
    points = [(started, _at(curve, started)), *inside, (ended, _at(curve, ended))]
    return sum(
        (later - earlier) * (watts + more) / 2
        for (earlier, watts), (later, more) in zip(points, points[1:], strict=False)
    )


def curve(sensors: Sensors) -> tuple[str, Curve] | None:
    """The power over time of the source that `summarize` takes, for plots."""
    for source, found, _ in (_rail(sensors), _battery(sensors), _counter(sensors)):
        if len(found) >= _LEAST_SAMPLES:
            return source, found
    return None


def _at(curve: Curve, moment: float) -> float:
    """The power at `moment`, on the line between its neighbours."""
    for (earlier, watts), (later, more) in zip(curve, curve[1:], strict=False):
        if earlier <= moment <= later:
            fraction = (moment - earlier) / (later - earlier) if later > earlier else 0.0
            return watts + (more - watts) * fraction
    return curve[0][1] if moment < curve[0][0] else curve[-1][1]


def _spent(
    measured: tuple[str, Curve],
    sensors: Sensors,
    sustained: Sequence[Sustained],
    new_tokens: int,
) -> Power | None:
    """The power over the whole run by a source and its curve."""
    source, found = measured
    joules = energy(found, sensors.started_s, sensors.ended_s)
    if joules is None:
        return None
    idle = [watts for at, watts in found if at < sensors.started_s]
    per_token = None
    if sustained:
        answering = energy(found, sustained[0].started_s, sustained[-1].ended_s)
        tokens = sum(one.answers for one in sustained) * new_tokens
        per_token = answering / tokens if answering is not None and tokens else None
    return Power(
        source=source,
        idle_w=sum(idle) / len(idle) if idle else None,
        mean_w=joules / (sensors.ended_s - sensors.started_s),
        energy_j=joules,
        joules_per_token=per_token,
    )


def _rail(sensors: Sensors) -> tuple[str, Curve, str | None]:
    """A power monitor on the board (INA3221 and such): the rail that supplies everything."""
    rails: dict[str, Curve] = {}
    for track in sensors.tracks:
        if track.kind in ("power", "milliwatts"):
            rails[track.name] = _points(sensors, track.values)
        elif track.kind == "current" and (voltage := _voltage_of(track, sensors)):
            rails[track.name] = _points(sensors, _product(track.values, voltage.values))
    total = next((name for name in rails if _TOTAL.search(name)), None)
    if total is not None:
        return f"{total}, the whole board", rails[total], None
    if not rails:
        return "", [], None
    names = ", ".join(sorted(rails)[:6])
    return "", [], f"none of the rails is known to be the whole board: {names}"


def _voltage_of(current: Track, sensors: Sensors) -> Track | None:
    found = _CURRENT_FILE.fullmatch(current.path)
    wanted = f"{found[1]}/in{found[2]}_input" if found else None
    return next((track for track in sensors.tracks if track.path == wanted), None)


def _battery(sensors: Sensors) -> tuple[str, Curve, str | None]:
    """The battery's output; vendors disagree on the current's sign, so only while discharging."""
    tracks = {track.kind: track for track in sensors.tracks if track.kind.startswith("battery_")}
    current, voltage = tracks.get("battery_current"), tracks.get("battery_voltage")
    whole, status = tracks.get("battery_power"), tracks.get("battery_status")
    if whole is not None:
        watts: Iterable[float | None] = whole.values
    elif current is not None and voltage is not None:
        watts = _product(current.values, voltage.values)
    else:
        return "", [], None
    states = {word for word in status.words if word} if status is not None else set()
    if states != {"Discharging"}:
        state = ", ".join(sorted(states)) or "unknown"
        note = f"the battery is not discharging ({state}): its current is not the device's"
        return "", [], note
    points = _points(sensors, (None if one is None else abs(one) for one in watts))
    return "battery, the whole device", points, None


def _counter(sensors: Sensors) -> tuple[str, Curve, str | None]:
    """Power from an energy counter (RAPL) of the processor package, without its wrap-arounds."""
    for track in sensors.tracks:
        if track.kind != "energy":
            continue
        points = _points(sensors, track.values)
        steps = zip(points, points[1:], strict=False)
        found = [
            ((earlier + later) / 2, (more - joules) / (later - earlier))
            for (earlier, joules), (later, more) in steps
            if later > earlier and more >= joules
        ]
        return f"{track.name}, the processor only", found, None
    return "", [], None


def _points(sensors: Sensors, values: Iterable[float | None]) -> Curve:
    return [
        (at, value) for at, value in zip(sensors.at_s, values, strict=True) if value is not None
    ]


def _product(
    ones: Sequence[float | None], others: Sequence[float | None]
) -> Iterable[float | None]:
    return [
        None if one is None or other is None else one * other
        for one, other in zip(ones, others, strict=True)
    ]
