"""Runs a program on a device while a sampler reads the sensors, and collects both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors
from sphere_edge.devices.device import Device, Process
from sphere_edge.devices.sensors import Sensor
from sphere_edge.run import OUTPUT_LIMIT_BYTES

_SCRIPT = Path(__file__).with_name("on_device.sh").read_text("utf-8")
INTERVAL_S = 1.0
# A device that sends nothing for so long, though it reads its sensors each second, is lost.
_SILENCE_S = 60.0
_PAGES = re.compile(r"\d{1,12}", re.ASCII)
_TEGRASTATS = re.compile(r"t (\d{1,12}(?:\.\d{1,6})?) (.{1,4000})", re.ASCII)
_SECONDS = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)


@dataclass(frozen=True)
class Sample:
    """All sensors at one moment, `at_s` seconds after the device's boot.

    `words`: the content of the files, in the order of the sensors; `-` for an empty one.
    """

    at_s: float
    resident_pages: int | None
    words: tuple[str, ...]


@dataclass(frozen=True)
class Recording:
    """A program that ended, and the samples before, while and after it ran.

    `tegrastats`: lines of the program of that name, with seconds since boot; none but on Jetsons.
    """

    stdout: str
    exit_code: int
    samples: tuple[Sample, ...]
    tegrastats: tuple[tuple[float, str], ...] = ()


OnSample = Callable[[Sample], None]


@dataclass(frozen=True)
class Sampling:
    """What is read on the device, how often, and how many times before and after the program."""

    sensors: Sequence[Sensor] = ()
    interval_s: float = INTERVAL_S
    before: int = 2
    after: int = 2


def record(
    device: Device, argv: Sequence[str], sampling: Sampling, on_sample: OnSample | None = None
) -> Recording:
    """Runs `argv`, which prints only at its end; passes each sample to `on_sample` as it comes.

    Whatever ends this early also ends the program on the device. Raises UnavailableError.
    """
    process = _start(device, argv, sampling)
    try:
        return _collect(process, len(sampling.sensors), device.uri, on_sample)
    finally:
        process.close()


def samples(
    device: Device, sensors: Sequence[Sensor], *, interval_s: float = INTERVAL_S
) -> Iterator[Sample]:
    """Endless samples; the caller stops when it has enough. Raises UnavailableError."""
    process = _start(device, [], Sampling(sensors, interval_s, before=0, after=0))
    try:
        while line := process.read_line(_SILENCE_S):
            if sample := _sample(line, len(sensors)):
                yield sample
        raise _lost(device.uri)
    finally:
        process.close()


def _start(device: Device, argv: Sequence[str], sampling: Sampling) -> Process:
    files = [sensor.path for sensor in sampling.sensors]
    counts = (str(sampling.before), str(sampling.after), str(len(files)))
    numbers = (f"{sampling.interval_s:g}", *counts)
    return device.start(["sh", "-c", _SCRIPT, "sh", *numbers, *files, *argv])


def _collect(process: Process, sensors: int, uri: str, on_sample: OnSample | None) -> Recording:
    samples: list[Sample] = []
    tegrastats: list[tuple[float, str]] = []
    output: list[str] = []
    size = 0
    exit_code: int | None = None
    reporting = False
    # Empty only at the end: the script never prints an empty line, and programs print JSON.
    while (line := process.read_line(_SILENCE_S)) != "end":
        size += len(line)
        if not line or size > OUTPUT_LIMIT_BYTES:
            raise _lost(uri)
        if reporting and re.fullmatch(r"exit \d{1,3}", line):
            reporting, exit_code = False, int(line[5:])
        elif reporting:
            output.append(line)
        elif line == "report":
            reporting = True
        elif found := _TEGRASTATS.fullmatch(line):
            tegrastats.append((float(found[1]), found[2]))
        elif sample := _sample(line, sensors):
            samples.append(sample)
            if on_sample is not None:
                on_sample(sample)
    if exit_code is None:
        raise _lost(uri)
    # A shell's 128 + N is death by signal N.
    code = 128 - exit_code if exit_code > 128 else exit_code
    return Recording("\n".join(output), code, tuple(samples), tuple(tegrastats))


def _sample(line: str, sensors: int) -> Sample | None:
    """The sample in `line`; None for a torn one, and for what a start-up file printed."""
    words = line.split()
    if len(words) != sensors + 3 or words[0] != "s" or not _SECONDS.fullmatch(words[1]):
        return None
    pages = int(words[2]) if _PAGES.fullmatch(words[2]) else None
    return Sample(float(words[1]), pages, tuple(words[3:]))


def _lost(uri: str) -> errors.SphereEdgeError:
    message = f"the measurement on {uri} was interrupted"
    return errors.UnavailableError(message, hint="none of its programs still runs there; try again")
