"""Measures a text model on a device, in the runner's own process: Python is not measured."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Any

from pydantic import Field, ValidationError

from sphere_edge import __version__, errors, profiles
from sphere_edge.bench import conditions, measurement, tegrastats
from sphere_edge.bench.cooling import Cooling, thermometers, wait_until_cool
from sphere_edge.bench.measurement import Measurement, Part, Series, Sustained, UpperBounds
from sphere_edge.bench.plan import Plan
from sphere_edge.bench.recording import INTERVAL_S, Recording, Sample, Sampling, record
from sphere_edge.bench.target import BenchTarget, ModelOnDevice, bench_target
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.manifest import Memory as PredictedMemory
from sphere_edge.console import SILENT, Progress
from sphere_edge.devices import payload
from sphere_edge.devices.device import Device
from sphere_edge.devices.probe import Probe, probe
from sphere_edge.devices.sensors import Sensor
from sphere_edge.fit import roofline
from sphere_edge.run import Completed


class _Report(Part):
    """The JSON of `sphere-edge-run bench`, with times in seconds since boot."""

    engine: str
    family: str
    quantization: str
    threads: Annotated[int, Field(gt=0)]
    context_tokens: Annotated[int, Field(gt=0)]
    backend: str = "cpu"
    device: Annotated[str, Field(max_length=200)] = ""
    backend_reason: str = ""
    kernels: tuple[measurement.Kernel, ...] = ()
    series: Annotated[tuple[Series, ...], Field(min_length=1)]
    sustain: tuple[Sustained, ...] = ()
    loaded_rss_bytes: Annotated[int, Field(ge=0)] = 0
    peak_rss_bytes: Annotated[int, Field(gt=0)]


def measure(
    model: ModelOnDevice, plan: Plan, progress: Progress = SILENT, *, sysfs: str = "/sys"
) -> Measurement:
    """Runs the benchmark on a bundle or `.sphere` file; here also on a .gguf.

    `sysfs`: where the device's sensors are. Raises what opening the bundle and putting it on the
    device raise, and the runner's own errors with their codes.
    """
    device = model.device
    probed = probe(device, folder=model.store, sysfs=sysfs)
    if plan.cool_below_c is not None:
        # Fails before anything is sent or loaded.
        thermometers(device.uri, probed.sensors)
    with bench_target(model, probed, progress, plan.backend) as target:
        loads = _load_again(target, plan, progress)
        if plan.cool_below_c is not None:
            wait_until_cool(device, probed.sensors, Cooling(plan.cool_below_c), progress)
        report, recording = _run(target, plan, probed.sensors, progress)
    return _Run(probed, target, plan, report, loads, recording).result()


def _load_again(model: BenchTarget, plan: Plan, progress: Progress) -> list[Series]:
    """Loads in processes of their own: a second one in the same process would be faster."""
    argv = model.command("bench", plan.load_words())
    loads = []
    with progress.step("loading", plan.loads - 1) as step:
        for _ in range(plan.loads - 1):
            recording = record(model.device, argv, Sampling(before=0, after=0))
            report = _report(model.device, recording)
            loads += [one for one in report.series if one.name == "load"]
            step.advance()
    return loads


def _run(
    model: BenchTarget, plan: Plan, sensors: Sequence[Sensor], progress: Progress
) -> tuple[_Report, Recording]:
    started = time.monotonic()
    shown = 0.0
    with progress.step("measuring", plan.sustain_s or None) as step:

        def on_sample(_: Sample) -> None:
            nonlocal shown
            now = min(time.monotonic() - started, plan.sustain_s)
            step.advance(now - shown)
            shown = now

        argv = model.command("bench", plan.words())
        recording = record(model.device, argv, Sampling(sensors), on_sample)
    return _report(model.device, recording), recording


def _report(device: Device, recording: Recording) -> _Report:
    if recording.exit_code != 0:
        failed = Completed((), recording.exit_code, recording.stdout, "", 0.0)
        raise payload.runner_failure(failed, device.uri)
    try:
        return _Report.model_validate(json.loads(recording.stdout))
    except (ValueError, ValidationError) as error:
        output = recording.stdout[-500:]
        message = f"the runner on {device.uri} printed an unexpected report: {output}"
        raise errors.InternalError(message) from error


@dataclass(frozen=True)
class _Run:
    """A finished benchmark, before it is summarized."""

    probed: Probe
    model: BenchTarget
    plan: Plan
    report: _Report
    loads: Sequence[Series]
    recording: Recording

    def result(self) -> Measurement:
        probed, plan, report, manifest = self.probed, self.plan, self.report, self.model.manifest
        origin, uri = self._origin(), self.model.device.uri
        sustained = tuple(_moved(one, origin) for one in report.sustain)
        series = tuple(_moved(one, origin) for one in report.series)
        sensors = self._sensors(series, sustained)
        return Measurement(
            sphere_edge=__version__,
            measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            model=self.model.name,
            bundle_id=manifest.id if manifest else None,
            engine=report.engine,
            family=report.family,
            quantization=report.quantization,
            profile=manifest.profile if manifest else None,
            device=measurement.Device(
                uri=uri,
                title=probed.model or probed.cpu_model or uri,
                os=probed.os_release or probed.os,
                kernel=probed.kernel,
                soc=probed.soc,
                cpu=probed.cpu_model,
                architecture=probed.architecture,
                cores=probed.cores,
                memory_total_bytes=probed.memory_total_bytes,
            ),
            parameters=measurement.Parameters(
                prompt_tokens=plan.prompt_tokens,
                new_tokens=plan.new_tokens,
                repeat=plan.repeat,
                sustain_s=plan.sustain_s,
                cool_below_c=plan.cool_below_c,
                sequences=plan.sequences,
            ),
            threads=report.threads,
            context_tokens=report.context_tokens,
            backend=report.backend,
            gpu=report.device or None,
            backend_reason=report.backend_reason or None,
            kernels=report.kernels,
            series=tuple(_with_loads(one, self.loads) for one in series),
            upper_bounds=upper_bounds(manifest),
            sustained=sustained,
            memory=measurement.Memory(
                loaded_rss_bytes=report.loaded_rss_bytes,
                peak_rss_bytes=report.peak_rss_bytes,
                predicted=_predicted(manifest.memory, plan.sequences) if manifest else None,
            ),
            sensors=sensors,
            conditions=(
                conditions.summarize(sensors, sustained, plan.new_tokens)
                if sensors
                else measurement.Conditions()
            ),
        )

    def _origin(self) -> float:
        """Seconds since boot at which the recording began."""
        samples = self.recording.samples
        return samples[0].at_s if samples else self.report.series[0].started_s[0]

    def _sensors(
        self, series: Sequence[Series], sustained: Sequence[Sustained]
    ) -> measurement.Sensors | None:
        samples, origin = self.recording.samples, self._origin()
        if not samples:
            return None
        started = min((at for one in series for at in one.started_s), default=0.0)
        ended = max(
            [*(at for one in series for at in one.ended_s), *(one.ended_s for one in sustained)],
            default=0.0,
        )
        page = self.probed.page_bytes
        files = [
            _track(sensor, [sample.words[number] for sample in samples])
            for number, sensor in enumerate(self.probed.sensors)
        ]
        return measurement.Sensors(
            interval_s=INTERVAL_S,
            at_s=tuple(round(sample.at_s - origin, 3) for sample in samples),
            started_s=started,
            ended_s=ended,
            resident_bytes=tuple(
                sample.resident_pages * page if page and sample.resident_pages is not None else None
                for sample in samples
            ),
            tracks=(
                *files,
                *tegrastats.tracks(
                    self.recording.tegrastats,
                    [sample.at_s for sample in samples],
                    known={track.kind for track in files},
                ),
            ),
        )


def _predicted(memory: PredictedMemory, sequences: int) -> PredictedMemory:
    """With a KV cache for each of `sequences`."""
    more = memory.kv_cache_bytes * (sequences - 1)
    changed = {
        "kv_cache_bytes": memory.kv_cache_bytes + more,
        "peak_bytes": memory.peak_bytes + more,
    }
    return memory.model_copy(update=changed)


def upper_bounds(manifest: Manifest | None) -> UpperBounds:
    """The roofline of the bundle's profile, if it is one of the catalogue."""
    if manifest is None or manifest.profile not in profiles.names():
        return UpperBounds()
    profile = profiles.load(manifest.profile)
    bounds = roofline.bounds(manifest.family, manifest.memory, manifest.parameters, profile)
    return UpperBounds(decode=bounds.decode, prefill=bounds.prefill)


def _moved(one: Any, origin: float) -> Any:
    """A series or a sustained sample with its times counted from `origin`."""
    if isinstance(one, Series):
        times = {
            "started_s": tuple(round(at - origin, 3) for at in one.started_s),
            "ended_s": tuple(round(at - origin, 3) for at in one.ended_s),
        }
        return one.model_copy(update=times)
    return one.model_copy(
        update={
            "started_s": round(one.started_s - origin, 3),
            "ended_s": round(one.ended_s - origin, 3),
        }
    )


def _with_loads(one: Series, loads: Sequence[Series]) -> Series:
    """`load` with the samples of the other processes first; those are not on this time axis."""
    if one.name != "load":
        return one
    earlier = [sample for load in loads for sample in load.samples]
    return Series(name=one.name, unit=one.unit, samples=(*earlier, *one.samples))


def _track(sensor: Sensor, words: Sequence[str]) -> measurement.Track:
    readings: dict[str, tuple[float | str | None, ...]]
    if sensor.unit == "text":
        readings = {"words": tuple(sensor.word(word) for word in words)}
    else:
        readings = {"values": tuple(_rounded(sensor.reading(word)) for word in words)}
    return measurement.Track.model_validate(
        {
            "kind": sensor.kind,
            "name": sensor.name,
            "unit": sensor.unit,
            "path": sensor.path,
            **readings,
        }
    )


def _rounded(value: float | None) -> float | None:
    # Scaling by 1e-6 leaves digits such as 3.8000000000000003.
    return None if value is None else round(value, 9)
