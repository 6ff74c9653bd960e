"""Measures a speech recognition bundle on a device, in the runner's own process."""

from __future__ import annotations

import io
import json
import wave
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sphere_edge import errors
from sphere_edge.bench.place import placed
from sphere_edge.console import SILENT, Progress
from sphere_edge.devices import payload
from sphere_edge.devices.device import Device
from sphere_edge.devices.probe import probe
from sphere_edge.runtime import sound

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
    """Medians over the runs; `real_time_factor` below 1 is faster than speech."""

    name: str
    bundle_id: str | None
    device: str
    quantization: str
    threads: int
    audio_seconds: float
    real_time_factor: float
    real_time_factors: tuple[float, ...]
    first_segment_seconds: float
    encode_seconds: float
    decode_seconds: float
    load_seconds: float
    loaded_rss_bytes: int
    peak_rss_bytes: int
    predicted_peak_bytes: int | None

    def as_json(self) -> dict[str, Any]:
        """All of it, for machines."""
        return asdict(self)


def measure(
    device: Device,
    path: Path,
    audio: Path | None,
    *,
    repeat: int,
    threads: int,
    store: str | None = None,
    progress: Progress = SILENT,
) -> AudioMeasurement:
    """Transcribes `audio` (None: half a minute of noise) `repeat` times after a first time.

    Raises what opening the bundle, reading the audio and putting both on the device raise, and the
    runner's own errors with their codes.
    """
    recording = wav_of(_samples(audio))
    words = ["-", "--language", "en", "--no-fallback", "--repeat", str(repeat + 1)]
    words += ["--threads", str(threads)] if threads else []
    there = probe(device, folder=store)
    with placed(device, there, path, store, progress) as model, progress.step("measuring"):
        argv = model.command("transcribe", words)
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
    factors = tuple(run.total_seconds / report.audio_seconds for run in runs)
    manifest = model.manifest
    return AudioMeasurement(
        name=model.name,
        bundle_id=manifest.id if manifest else None,
        device=device.uri,
        quantization=report.model.quantization,
        threads=report.model.threads,
        audio_seconds=report.audio_seconds,
        real_time_factor=median(factors),
        real_time_factors=factors,
        first_segment_seconds=median(run.first_segment_seconds for run in runs),
        encode_seconds=median(run.encode_seconds for run in runs),
        decode_seconds=median(run.decode_seconds for run in runs),
        load_seconds=report.model.load_seconds,
        loaded_rss_bytes=report.loaded_rss_bytes,
        peak_rss_bytes=report.peak_rss_bytes,
        predicted_peak_bytes=manifest.memory.peak_bytes if manifest else None,
    )


def wav_of(samples: sound.Samples) -> bytes:
    """A wav file of 16 kHz, 16 bit and one channel, as the runner reads it."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.SAMPLE_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return content.getvalue()


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
