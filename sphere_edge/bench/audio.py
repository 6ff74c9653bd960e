"""Measures a speech recognition bundle on a device, in the runner's own process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sphere_edge import errors
from sphere_edge.bench.plan import AudioPlan
from sphere_edge.bench.runs_report import Runs
from sphere_edge.bench.target import ModelOnDevice, bench_target
from sphere_edge.console import SILENT, Progress, human_bytes
from sphere_edge.devices import payload
from sphere_edge.devices.probe import probe
from sphere_edge.runtime import sound
from sphere_edge.runtime.wav import wav_of

SCHEMA_VERSION = 1
_TIMEOUT_S = 3600
_LONGEST_S = 600
Seconds = Annotated[float, Field(ge=0)]


class _Run(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    first_segment_seconds: Seconds
    total_seconds: Seconds
    encode_seconds: Seconds
    decode_seconds: Seconds


class _Model(BaseModel):
    load_seconds: Seconds
    threads: Annotated[int, Field(gt=0)]
    quantization: str


class _Report(BaseModel):
    """What `sphere-edge-run transcribe --json` prints, as far as it is used here."""

    audio_seconds: Annotated[float, Field(gt=0)]
    runs: Annotated[tuple[_Run, ...], Field(min_length=1)]
    model: _Model
    loaded_rss_bytes: Annotated[int, Field(ge=0)]
    peak_rss_bytes: Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class AudioMeasurement:
    """Runs in the order they were made, and medians over them.

    `predicted_peak_bytes`: by the bundle; None for a bare model file.
    """

    name: str
    bundle_id: str | None
    device: str
    quantization: str
    threads: int
    audio_seconds: float
    runs: tuple[_Run, ...]
    load_seconds: float
    loaded_rss_bytes: int
    peak_rss_bytes: int
    predicted_peak_bytes: int | None

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of audio: below 1 is faster than speech."""
        return self._median("total_seconds") / self.audio_seconds

    @property
    def subtitle(self) -> str:
        """What was measured where, in one line."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return (
            f"whisper {self.quantization} by the whisper engine, {threads}, "
            f"{self.audio_seconds:.1f} s of audio, on {self.device}"
        )

    def for_report(self) -> Runs:
        """The same for people, with names and units."""
        names = tuple(_Run.model_fields)
        factors = (run.total_seconds / self.audio_seconds for run in self.runs)
        values = (run.model_dump().values() for run in self.runs)
        medians: list[tuple[str, ...]] = [
            ("real-time factor", f"{self.real_time_factor:.3f}"),
            ("first segment", f"{self._median('first_segment_seconds'):.3f} s"),
            ("encoder", f"{self._median('encode_seconds'):.3f} s"),
            ("decoder", f"{self._median('decode_seconds'):.3f} s"),
            ("load", f"{self.load_seconds:.3f} s"),
            ("peak memory", human_bytes(self.peak_rss_bytes)),
        ]
        if self.predicted_peak_bytes is not None:
            medians.append(("predicted", human_bytes(self.predicted_peak_bytes)))
        return Runs(
            name=self.name,
            device=self.device,
            subtitle=self.subtitle,
            columns=("real_time_factor", *names),
            samples=tuple((factor, *own) for factor, own in zip(factors, values, strict=True)),
            plotted={
                "real_time_factor": "real-time factor",
                "first_segment_seconds": "first segment (s)",
            },
            figures=[
                ("real-time factor", f"{self.real_time_factor:.3g}", "s of work per s"),
                ("first segment", f"{self._median('first_segment_seconds'):.3g}", "s"),
                ("load", f"{self.load_seconds:.3g}", "s"),
                ("peak memory", human_bytes(self.peak_rss_bytes), self._of_predicted),
            ],
            medians=medians,
            facts=[
                ("device", self.device),
                ("bundle", self.bundle_id or "none"),
                ("audio", f"{self.audio_seconds:.1f} s"),
                ("runs", f"{len(self.runs)}, after one that is not counted"),
            ],
            document=self.as_json(),
        )

    @property
    def _of_predicted(self) -> str:
        predicted = self.predicted_peak_bytes
        return f"{self.peak_rss_bytes / predicted:.0%} of predicted" if predicted else ""

    def as_json(self) -> dict[str, Any]:
        """All of it, for machines; `schema_version` rises when a key changes its meaning."""
        values = {**asdict(self), "runs": [run.model_dump() for run in self.runs]}
        medians = {name: self._median(name) for name in _Run.model_fields}
        head = {"schema_version": SCHEMA_VERSION, "task": "audio"}
        return {**head, **values, "real_time_factor": self.real_time_factor, **medians}

    def _median(self, name: str) -> float:
        return float(median(getattr(run, name) for run in self.runs))


def measure(
    subject: ModelOnDevice, plan: AudioPlan, progress: Progress = SILENT
) -> AudioMeasurement:
    """Transcribes the recording `plan.repeat` times after a first time.

    Raises what opening the bundle, reading the audio and putting both on the device raise, and the
    runner's own errors with their codes.
    """
    recording = wav_of(_samples(plan.recording))
    device = subject.device
    probed = probe(device, folder=subject.store)
    with bench_target(subject, probed, progress) as model, progress.step("measuring"):
        argv = model.command("transcribe", plan.words())
        done = device.run(argv, timeout_s=_TIMEOUT_S, stdin=recording)
    if done.exit_code != 0:
        raise payload.runner_failure(done, device.uri)
    try:
        report = _Report.model_validate(json.loads(done.stdout))
    except (ValueError, ValidationError) as error:
        message = f"the runner on {device.uri} does not say what it measured: {done.stdout[-500:]}"
        raise errors.InternalError(message) from error
    # The first one touches every weight.
    runs = report.runs[1:] or report.runs
    manifest = model.manifest
    return AudioMeasurement(
        name=model.name,
        bundle_id=manifest.id if manifest else None,
        device=device.uri,
        quantization=report.model.quantization,
        threads=report.model.threads,
        audio_seconds=report.audio_seconds,
        runs=runs,
        load_seconds=report.model.load_seconds,
        loaded_rss_bytes=report.loaded_rss_bytes,
        peak_rss_bytes=report.peak_rss_bytes,
        predicted_peak_bytes=manifest.memory.peak_bytes if manifest else None,
    )


def _samples(audio: Path | None) -> sound.Samples:
    if audio is None:
        noise = np.random.default_rng(1).standard_normal(30 * sound.SAMPLE_RATE)
        return (noise * 0.05).astype(np.float32)
    blocks, count = [], 0
    with sound.opened(audio) as opened:
        for block in opened:
            blocks.append(block)
            count += len(block)
            if count > _LONGEST_S * sound.SAMPLE_RATE:
                message = f"`{audio}` is longer than {_LONGEST_S} s"
                raise errors.InvalidArgumentError(message, hint="measure with a part of it")
    return np.concatenate(blocks) if blocks else np.empty(0, dtype=np.float32)
