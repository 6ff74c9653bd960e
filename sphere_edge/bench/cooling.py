"""Waits until a device is cool enough for a fair start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sphere_edge import errors
from sphere_edge.bench import conditions
from sphere_edge.bench.measurement import Heat
from sphere_edge.bench.recording import Sample, samples
from sphere_edge.console import Progress
from sphere_edge.devices.device import Device
from sphere_edge.devices.sensors import Sensor


@dataclass(frozen=True)
class Cooling:
    """The processor's temperature to wait for, how long at most, and how often it is read."""

    below_c: float
    # A phone in a hand cools from its limit to 40 °C in about ten minutes.
    patience_s: float = 1800.0
    interval_s: float = 2.0


def wait_until_cool(
    device: Device, sensors: Sequence[Sensor], wanted: Cooling, progress: Progress
) -> None:
    """Returns when the processor is as cool as `wanted`.

    Raises UnsupportedError (no temperature sensor), errors.TimeoutError (it does not cool down).
    """
    thermal = thermometers(device.uri, sensors)
    with progress.step(f"waiting for {wanted.below_c:g} °C"):
        first: float | None = None
        for sample in samples(device, thermal, interval_s=wanted.interval_s):
            first = sample.at_s if first is None else first
            heat = _hottest(thermal, sample)
            if heat is not None and heat.most is not None and heat.most < wanted.below_c:
                return
            if sample.at_s - first > wanted.patience_s:
                state = f"{heat.name} is at {heat.most:.1f} °C" if heat else "no sensor answers"
                message = (
                    f"{device.uri} did not cool below {wanted.below_c:g} °C in "
                    f"{wanted.patience_s:.0f} s: {state}"
                )
                raise errors.TimeoutError(
                    message, hint="improve its cooling, or give a higher temperature"
                )


def thermometers(uri: str, sensors: Sequence[Sensor]) -> list[Sensor]:
    """The temperature sensors. Raises UnsupportedError if there is none to wait for."""
    found = [sensor for sensor in sensors if sensor.unit == "°C"]
    if not found:
        message = f"{uri} has no temperature sensor to wait for"
        raise errors.UnsupportedError(message, hint="leave out --cool-below")
    return found


def _hottest(sensors: Sequence[Sensor], sample: Sample) -> Heat | None:
    return conditions.processor(
        Heat(name=sensor.name, before=None, most=sensor.reading(word), after=None)
        for sensor, word in zip(sensors, sample.words, strict=True)
    )
