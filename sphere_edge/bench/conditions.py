"""What the sensors measured: heat, power, clocks, throttling; None where there is no sensor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from statistics import fmean, median

from sphere_edge.bench import power
from sphere_edge.bench.measurement import Clock, Conditions, Heat, Sensors, Sustained, Track

# Names that vendors give to zones on the processor; batteries, chargers and skins are not.
_ON_PROCESSOR = re.compile(
    r"cpu|soc|pkg|package|core|k10temp|zenpower|big|little|mid|prime|cluster|tj", re.IGNORECASE
)
_OFF_PROCESSOR = re.compile(r"batt|charg|skin|gpu|usb|wifi|modem|pmic|nvme", re.IGNORECASE)
# A fan that turns faster does not throttle anything.
_BRAKE = re.compile(r"cpu|processor|devfreq|gpu|freq", re.IGNORECASE)
# www.raspberrypi.com/documentation/computers/os.html, get_throttled.
_FLAGS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
# Clocks move with every scheduler tick; a smaller drop over thirds of a minute does not count.
_CLOCK_DROP = 0.9
_DROP_NEEDS_S = 60.0


def summarize(sensors: Sensors, sustained: Sequence[Sustained], new_tokens: int) -> Conditions:
    """The summary; `sustained` and `new_tokens` give the energy of a token."""
    temperatures = tuple(_heat(track, sensors) for track in of_unit(sensors, "°C"))
    measured_power, note = power.summarize(sensors, sustained, new_tokens)
    evidence, known = _throttling(sensors)
    return Conditions(
        temperatures=temperatures,
        processor=processor(temperatures),
        power=measured_power,
        power_note=note,
        clocks=tuple(
            _clock(track, sensors)
            for kind in ("clock", "gpu_clock")
            for track in of_kind(sensors, kind)
        ),
        throttled=bool(evidence) if known else None,
        throttling=tuple(evidence),
    )


def of_kind(sensors: Sensors, kind: str) -> list[Track]:
    """The tracks of one kind."""
    return [track for track in sensors.tracks if track.kind == kind]


def of_unit(sensors: Sensors, unit: str) -> list[Track]:
    """The tracks in one unit."""
    return [track for track in sensors.tracks if track.unit == unit]


def during(track: Track, sensors: Sensors) -> list[float]:
    """The readings of `track` while the program measured."""
    return [
        value
        for at, value in zip(sensors.at_s, track.values, strict=True)
        if value is not None and sensors.started_s <= at <= sensors.ended_s
    ]


def processor(temperatures: Iterable[Heat]) -> Heat | None:
    """The hottest on the processor; if no name says so, of all but batteries and the like."""
    elsewhere = [heat for heat in temperatures if not _OFF_PROCESSOR.search(heat.name)]
    near = [heat for heat in elsewhere if _ON_PROCESSOR.search(heat.name)] or elsewhere
    hot = [heat for heat in near if _peak(heat) is not None]
    return max(hot, key=lambda heat: _peak(heat) or 0.0, default=None)


def _peak(heat: Heat) -> float | None:
    known = [value for value in (heat.before, heat.most, heat.after) if value is not None]
    return max(known, default=None)


def _before(track: Track, sensors: Sensors) -> float | None:
    """The last reading before the program measured."""
    found = [
        value
        for at, value in zip(sensors.at_s, track.values, strict=True)
        if value is not None and at < sensors.started_s
    ]
    return found[-1] if found else None


def _heat(track: Track, sensors: Sensors) -> Heat:
    after = [
        value
        for at, value in zip(sensors.at_s, track.values, strict=True)
        if value is not None and at > sensors.ended_s
    ]
    return Heat(
        name=track.name,
        before=_before(track, sensors),
        most=max(during(track, sensors), default=None),
        after=after[-1] if after else None,
    )


def _clock(track: Track, sensors: Sensors) -> Clock:
    whose = track.kind.removesuffix("clock")

    def same(kind: str) -> list[Track]:
        return [one for one in of_kind(sensors, whose + kind) if one.name == track.name]

    values = during(track, sensors)
    limits = [value for one in same("clock_limit") for value in during(one, sensors)]
    mosts = [value for one in same("clock_most") for value in one.values if value is not None]
    words = [word for one in same("governor") for word in one.words if word is not None]
    return Clock(
        name=f"GPU {track.name}" if whose else track.name,
        governor=words[-1] if words else None,
        median=median(values) if values else None,
        least=min(values, default=None),
        limit=min(limits, default=None),
        most=max(mosts, default=None),
    )


def _throttling(sensors: Sensors) -> tuple[list[str], bool]:
    """Evidence that the processor was slowed down, and whether any sensor could show it."""
    evidence: list[str] = []
    known = False
    for track in sensors.tracks:
        if track.unit == "text":
            continue
        values, before = during(track, sensors), _before(track, sensors)
        if not values or (track.kind == "cooling" and not _BRAKE.search(track.name)):
            continue
        # A limit that existed from the start is a setting, such as a power mode.
        if track.kind in ("clock_limit", "gpu_clock_limit"):
            known = True
            if before is not None and min(values) < before:
                evidence.append(
                    f"{track.name}: limited to {min(values):.0f} MHz, {before:.0f} MHz before"
                )
        elif track.kind in ("cooling", "throttled_times"):
            known = True
            if before is not None and max(values) > before:
                what = "cooling level" if track.kind == "cooling" else "times throttled"
                evidence.append(f"{track.name}: {what} {before:.0f} → {max(values):.0f}")
        elif track.kind == "throttled_flags":
            known = True
            bits = 0
            for value in values:
                bits |= int(value)
            evidence += [f"{track.name}: {flag}" for bit, flag in _FLAGS.items() if bits >> bit & 1]
        elif track.kind == "clock" and (drop := _drop(values, sensors)):
            known = True
            evidence.append(f"{track.name}: {drop}")
    return evidence, known


def _drop(values: Sequence[float], sensors: Sensors) -> str | None:
    third = len(values) // 3
    if sensors.ended_s - sensors.started_s < _DROP_NEEDS_S or third < 3:
        return None
    first, last = fmean(values[:third]), fmean(values[-third:])
    if last >= _CLOCK_DROP * first:
        return None
    return f"clock fell from {first:.0f} to {last:.0f} MHz"
