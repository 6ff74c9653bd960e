"""The result of a benchmark: raw samples, and the numbers people compare (docs/bench.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field, model_validator

from sphere_edge.bundle.manifest import Memory as PredictedMemory
from sphere_edge.devices.sensors import SensorKind, Unit
from sphere_edge.errors import FormatMismatchError, InvalidArgumentError, NotFoundError
from sphere_edge.profiles import describe

# Rises when a key changes its meaning; keys may be added without.
SCHEMA_VERSION: Literal[3] = 3
_FILE_LIMIT_BYTES = 256 << 20
_HINT = "`sphere-edge bench BUNDLE --report F.json` writes one"

Name = Annotated[str, Field(max_length=200)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Part(BaseModel):
    """Frozen. Keys of a newer minor version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def percentile(samples: Sequence[float], percent: float) -> float:
    """Linear between the two nearest samples (NIST Engineering Statistics Handbook 7.2.6.2)."""
    ordered = sorted(samples)
    position = (len(ordered) - 1) * percent / 100
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


class Series(Part):
    """Samples of one quantity, in the order taken; `tokens`: prompt or answer length.

    `sequences`: of how many conversations at once it is the sum; None: of one.

    `started_s`, `ended_s`: when each was taken, in seconds since the recording began.
    """

    name: Literal["load", "prefill", "first_token", "decode", "parallel_decode"]
    unit: Literal["tokens/s", "s"]
    tokens: Annotated[int, Field(gt=0)] | None = None
    sequences: Annotated[int, Field(gt=0)] | None = None
    samples: Annotated[tuple[Positive, ...], Field(min_length=1)]
    started_s: tuple[Finite, ...] = ()
    ended_s: tuple[Finite, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def median(self) -> float:
        """The 50th percentile."""
        return percentile(self.samples, 50)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def p10(self) -> float:
        """The 10th percentile."""
        return percentile(self.samples, 10)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def p90(self) -> float:
        """The 90th percentile."""
        return percentile(self.samples, 90)

    @model_validator(mode="after")
    def _one_time_per_sample(self) -> Series:
        for times in (self.started_s, self.ended_s):
            if len(times) not in (0, len(self.samples)):
                message = f"{self.name} has {len(times)} times for {len(self.samples)} samples"
                raise ValueError(message)
        return self

    @property
    def title(self) -> str:
        """`prefill 128`, `load`, `decode 64, 4 at once`."""
        if self.sequences is not None:
            return f"decode {self.tokens}, {self.sequences} at once"
        name = self.name.replace("_", " ")
        return name if self.tokens is None else f"{name} {self.tokens}"

    @property
    def less_is_better(self) -> bool:
        """Whether it is a time."""
        return self.unit == "s"


class Sustained(Part):
    """The speed of whole answers over at least a second, in tokens/s."""

    started_s: Finite
    ended_s: Finite
    answers: Annotated[int, Field(gt=0)]
    prefill: Positive
    decode: Positive


class Memory(Part):
    """Bytes as the kernel counts them (VmHWM), and the prediction; None for a bare .gguf."""

    loaded_rss_bytes: Annotated[int, Field(ge=0)]
    peak_rss_bytes: Annotated[int, Field(gt=0)]
    predicted: PredictedMemory | None = None


class UpperBounds(Part):
    """Upper bounds in tokens per second on the device that the bundle was made for.

    From its bandwidth and its arithmetic, see sphere_edge/fit/roofline.py; None where unknown.
    """

    decode: Positive | None = None
    prefill: Positive | None = None


class Device(Part):
    """The device. What it does not report is None."""

    uri: Name
    title: Name
    os: Name | None = None
    kernel: Name | None = None
    soc: Name | None = None
    cpu: Name | None = None
    architecture: Name | None = None
    cores: int | None = None
    memory_total_bytes: int | None = None


class Track(Part):
    """One sensor over time: `values` in `unit`, or `words`; None where nothing was read."""

    kind: SensorKind
    name: Name
    unit: Unit
    path: Name
    values: tuple[Finite | None, ...] = ()
    words: tuple[Name | None, ...] = ()


class Sensors(Part):
    """Everything that was read while the runner ran, one value per moment in `at_s`."""

    interval_s: Positive
    # Seconds since the recording began; the program ran from `started_s` to `ended_s`.
    at_s: tuple[Finite, ...]
    started_s: Finite
    ended_s: Finite
    resident_bytes: tuple[int | None, ...]
    tracks: tuple[Track, ...]

    @model_validator(mode="after")
    def _one_reading_per_moment(self) -> Sensors:
        moments = len(self.at_s)
        for track in self.tracks:
            readings = track.words if track.unit == "text" else track.values
            if len(readings) != moments:
                message = f"{track.name} has {len(readings)} readings for {moments} moments"
                raise ValueError(message)
        if len(self.resident_bytes) != moments:
            message = "resident_bytes does not have one reading per moment"
            raise ValueError(message)
        return self


class Heat(Part):
    """One temperature in °C before, at its highest during, and after the measurement."""

    name: Name
    before: Finite | None
    most: Finite | None
    after: Finite | None


class Power(Part):
    """Electrical power in watts and the energy used; `source`: what the sensor measures."""

    source: Name
    idle_w: Finite | None
    mean_w: Finite
    energy_j: Finite
    # Over the answers of `--sustain`; None without it, or if they were too short.
    joules_per_token: Finite | None


class Clock(Part):
    """One cluster's clock in MHz while the program ran; `limit`: the lowest maximum allowed."""

    name: Name
    governor: Name | None
    median: Finite | None
    least: Finite | None
    limit: Finite | None
    most: Finite | None


class Conditions(Part):
    """The summary of `sensors`. None: no sensor for it, or none with plausible readings."""

    temperatures: tuple[Heat, ...] = ()
    # The hottest of those on the processor.
    processor: Heat | None = None
    power: Power | None = None
    power_note: str | None = None
    clocks: tuple[Clock, ...] = ()
    throttled: bool | None = None
    throttling: tuple[str, ...] = ()


class Kernel(Part):
    """All calls of one kernel of a GPU, by the GPU's own clock."""

    name: Name
    calls: Annotated[int, Field(gt=0)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Parameters(Part):
    """The parameters of the benchmark."""

    prompt_tokens: tuple[int, ...]
    new_tokens: int
    repeat: int
    sustain_s: int = 0
    cool_below_c: Finite | None = None
    sequences: Annotated[int, Field(gt=0)] = 1


class Measurement(Part):
    """One benchmark of one model on one device."""

    schema_version: Literal[3] = SCHEMA_VERSION
    sphere_edge: Name
    measured_at: Name
    model: Name
    bundle_id: Name | None
    engine: Name
    family: Name
    quantization: Name
    profile: Name | None
    device: Device
    parameters: Parameters
    threads: Annotated[int, Field(gt=0)]
    context_tokens: Annotated[int, Field(gt=0)]
    # Which of the bundle's backends ran, the GPU and its driver, and why it was not the first.
    backend: Name = "cpu"
    gpu: Name | None = None
    backend_reason: str | None = None
    series: tuple[Series, ...]
    upper_bounds: UpperBounds = UpperBounds()
    sustained: tuple[Sustained, ...] = ()
    memory: Memory
    sensors: Sensors | None = None
    conditions: Conditions = Conditions()
    # Only with --kernels, which makes every kernel wait for the one before.
    kernels: tuple[Kernel, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Everything, raw samples too."""
        return self.model_dump(mode="json")


def read(path: Path) -> Measurement:
    """The measurement in a JSON report. Raises NotFoundError, InvalidArgumentError."""
    try:
        if path.stat().st_size > _FILE_LIMIT_BYTES:
            message = f"`{path}` is too large for a report"
            raise InvalidArgumentError(message)
        text = path.read_text("utf-8")
    except OSError as error:
        message = f"`{path}` cannot be read: {error.strerror}"
        raise NotFoundError(message, hint=_HINT) from error
    except UnicodeDecodeError as error:
        message = f"`{path}` is not a report: it is not UTF-8 text"
        raise InvalidArgumentError(message) from error
    try:
        document = json.loads(text)
        version = document["schema_version"]
        if version != SCHEMA_VERSION:
            message = f"`{path}` has report schema `{version}`, this is `{SCHEMA_VERSION}`"
            raise FormatMismatchError(message, hint="measure again with this sphere-edge")
        return Measurement.model_validate(document)
    except ValidationError as error:
        message = f"`{path}` is not a report: {describe(error)}"
        raise InvalidArgumentError(message) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"`{path}` is not a report of a measurement"
        raise InvalidArgumentError(message, hint=_HINT) from error
