"""The sensors a device lets us read: their kinds, their units, and readings made plausible."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

SensorKind = Literal[
    "temperature",
    "current",
    "voltage",
    "power",
    "milliwatts",
    "energy",
    "battery_status",
    "battery_current",
    "battery_voltage",
    "battery_power",
    "battery_temperature",
    "clock",
    "clock_limit",
    "clock_most",
    "governor",
    "gpu_clock",
    "gpu_clock_limit",
    "gpu_governor",
    "gpu_load",
    "cooling",
    "throttled_times",
    "throttled_flags",
]
Unit = Literal["°C", "A", "V", "W", "J", "MHz", "%", "level", "times", "flags", "text"]

SCRIPT = Path(__file__).with_name("sensors.sh").read_text("utf-8")

# linux/Documentation: hwmon/sysfs-interface (mV, mA, µW, m°C), power/power_supply_class (µA, µV,
# µW, tenths of °C), driver-api/thermal/sysfs-api (m°C), power/powercap (µJ), cpu-freq (kHz),
# ABI/testing/sysfs-class-devfreq (Hz).
_SCALES: dict[SensorKind, tuple[Unit, float]] = {
    "temperature": ("°C", 1e-3),
    "current": ("A", 1e-3),
    "voltage": ("V", 1e-3),
    "power": ("W", 1e-6),
    "milliwatts": ("W", 1e-3),
    "energy": ("J", 1e-6),
    "battery_status": ("text", 1),
    "battery_current": ("A", 1e-6),
    "battery_voltage": ("V", 1e-6),
    "battery_power": ("W", 1e-6),
    "battery_temperature": ("°C", 0.1),
    "clock": ("MHz", 1e-3),
    "clock_limit": ("MHz", 1e-3),
    "clock_most": ("MHz", 1e-3),
    "governor": ("text", 1),
    "gpu_clock": ("MHz", 1e-6),
    "gpu_clock_limit": ("MHz", 1e-6),
    "gpu_governor": ("text", 1),
    # Told by tegrastats only.
    "gpu_load": ("%", 1),
    "cooling": ("level", 1),
    "throttled_times": ("times", 1),
    "throttled_flags": ("flags", 1),
}
_KINDS: dict[str, SensorKind] = {kind: kind for kind in get_args(SensorKind)}
_MOST_SENSORS = 512
_NAME_LIMIT = 60
# No blanks, and nothing a shell or a terminal would act on: the sampler gets these words back.
_FILE = re.compile(r"/[A-Za-z0-9_./:@,+\-]{1,250}")
_WORD = re.compile(r"[A-Za-z0-9_.+\-]{1,40}")
# A working part is never colder or hotter.
_COLDEST_C, _HOTTEST_C = -40.0, 150.0


@dataclass(frozen=True)
class Sensor:
    """A file on the device that holds a reading; `reading` converts its content to `unit`."""

    kind: SensorKind
    name: str
    path: str

    @property
    def unit(self) -> Unit:
        """The unit of readings."""
        return _SCALES[self.kind][0]

    def reading(self, word: str) -> float | None:
        """A number in `unit`; None if the file has none, or an implausible one."""
        if self.kind == "throttled_flags" and re.fullmatch(r"(0x)?[0-9a-fA-F]{1,8}", word):
            return float(int(word, 16))
        if self.unit == "text" or not re.fullmatch(r"-?\d{1,18}", word, re.ASCII):
            return None
        raw = int(word)
        value = raw * _SCALES[self.kind][1]
        if self.unit != "°C":
            return value
        if self.kind == "temperature" and 1 <= raw <= _HOTTEST_C:
            # Some phones' zones report whole degrees; a running chip is never at 0.001 to 0.15 °C.
            value = float(raw)
        # Zones of parts that are switched off report -274, 0 or 2^31.
        return value if _COLDEST_C < value < _HOTTEST_C and raw != 0 else None

    def word(self, word: str) -> str | None:
        """A reading in words, such as a governor's name."""
        return word if self.unit == "text" and _WORD.fullmatch(word) else None


def parse(lines: Sequence[str]) -> tuple[Sensor, ...]:
    """The sensors in what sensors.sh printed; one whose reading makes no sense is not there."""
    found: list[Sensor] = []
    seen: set[str] = set()
    for line in lines[: 4 * _MOST_SENSORS]:
        fields = line.split(maxsplit=4)
        if len(fields) < 4 or fields[0] != "sensor" or (kind := _KINDS.get(fields[1])) is None:
            continue
        file = fields[3]
        if not _FILE.fullmatch(file) or file in seen or ".." in file:
            continue
        named = "".join(c for c in fields[4] if c.isprintable())[:_NAME_LIMIT] if fields[4:] else ""
        sensor = Sensor(kind, " ".join(named.split()) or file, file)
        if sensor.reading(fields[2]) is not None or sensor.word(fields[2]) is not None:
            found.append(sensor)
            seen.add(file)
    return tuple(found[:_MOST_SENSORS])
