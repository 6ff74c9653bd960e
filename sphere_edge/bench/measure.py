"""Measures a model on a device, in the runner's own process: no Python in speed or memory."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from sphere_edge import __version__, errors, profiles
from sphere_edge.bench import conditions, measurement, tegrastats
from sphere_edge.bench.cooling import thermometers, wait_until_cool
from sphere_edge.bench.measurement import AtMost, Measurement, Part, Series, Sustained
from sphere_edge.bench.plan import Plan
from sphere_edge.bench.recording import INTERVAL_S, Recording, Sample, record
from sphere_edge.bench.target import BenchTarget, bench_target
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.console import SILENT, Progress
from sphere_edge.devices import payload
from sphere_edge.devices.device import Device
from sphere_edge.devices.probe import Probe, probe
from sphere_edge.devices.sensors import Sensor
from sphere_edge.fit import roofline
from sphere_edge.run import Completed


class _Report(Part):
    """What `sphere-edge-run bench --json` prints, its times in seconds since boot."""

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
    device: Device,
    path: Path,
    plan: Plan,
    *,
    store: str | None = None,
    sysfs: str = "/sys",
    progress: Progress = SILENT,
) -> Measurement:
    """Runs the benchmark on the bundle or `.sphere` file at `path`; here also on a .gguf.

    `sysfs`: where the device's sensors are. Raises what opening the bundle and putting it on the
    device raise, and the runner's own errors with their codes.
    """
    there = probe(device, folder=store, sysfs=sysfs)
    if plan.cool_below_c is not None:
        # Said before anything is sent or loaded.
        thermometers(device.uri, there.sensors)
    with bench_target(device, there, path, store, progress, plan.backend) as model:
        loads = _load_again(device, model, plan, progress)
        if plan.cool_below_c is not None:
            wait_until_cool(device, there.sensors, plan.cool_below_c, progress)
        report, recording = _run(device, model, plan, there.sensors, progress)
    return _measurement(device, there, model, plan, report, loads, recording)


def _load_again(device: Device, model: BenchTarget, plan: Plan, progress: Progress) -> list[Series]:
    """Loads of processes of their own: a second one in the same process would be easier."""
    argv = model.command("bench", plan.load_words())
    loads = []
    with progress.step("loading", plan.loads - 1) as step:
        for _ in range(plan.loads - 1):
            report = _report(device, record(device, argv, [], before=0, after=0))
            loads += [one for one in report.series if one.name == "load"]
            step.advance()
    return loads


def _run(
    device: Device, model: BenchTarget, plan: Plan, sensors: Sequence[Sensor], progress: Progress
) -> tuple[_Report, Recording]:
    started = time.monotonic()
    shown = 0.0
    with progress.step("measuring", plan.sustain_s or None) as step:

        def told(_: Sample) -> None:
            nonlocal shown
            now = min(time.monotonic() - started, plan.sustain_s)
            step.advance(now - shown)
            shown = now

        argv = model.command("bench", plan.words())
        recording = record(device, argv, sensors, told=told)
    return _report(device, recording), recording


def _report(device: Device, recording: Recording) -> _Report:
    if recording.exit_code != 0:
        failed = Completed((), recording.exit_code, recording.stdout, "", 0.0)
        raise payload.runner_failure(failed, device.uri)
    try:
        return _Report.model_validate(json.loads(recording.stdout))
    except (ValueError, ValidationError) as error:
        said = recording.stdout[-500:]
        message = f"the runner on {device.uri} does not say what it measured: {said}"
        raise errors.InternalError(message) from error


def _measurement(
    device: Device,
    there: Probe,
    model: BenchTarget,
    plan: Plan,
    report: _Report,
    loads: Sequence[Series],
    recording: Recording,
) -> Measurement:
    manifest = model.manifest
    origin = recording.samples[0].at_s if recording.samples else report.series[0].started_s[0]
    sustained = tuple(_moved(one, origin) for one in report.sustain)
    series = tuple(_moved(one, origin) for one in report.series)
    sensors = _sensors(there, series, sustained, recording, origin)
    return Measurement(
        sphere_edge=__version__,
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        model=model.name,
        bundle_id=manifest.id if manifest else None,
        engine=report.engine,
        family=report.family,
        quantization=report.quantization,
        profile=manifest.profile if manifest else None,
        device=measurement.Device(
            uri=device.uri,
            title=there.model or there.cpu_model or device.uri,
            os=there.os_release or there.os,
            kernel=there.kernel,
            soc=there.soc,
            cpu=there.cpu_model,
            architecture=there.architecture,
            cores=there.cores,
            memory_total_bytes=there.memory_total_bytes,
        ),
        asked=measurement.Asked(
            prompt_tokens=plan.prompt_tokens,
            new_tokens=plan.new_tokens,
            repeat=plan.repeat,
            sustain_s=plan.sustain_s,
            cool_below_c=plan.cool_below_c,
        ),
        threads=report.threads,
        context_tokens=report.context_tokens,
        backend=report.backend,
        gpu=report.device or None,
        backend_reason=report.backend_reason or None,
        kernels=report.kernels,
        series=tuple(_with_loads(one, loads) for one in series),
        at_most=at_most(manifest),
        sustained=sustained,
        memory=measurement.Memory(
            loaded_rss_bytes=report.loaded_rss_bytes,
            peak_rss_bytes=report.peak_rss_bytes,
            predicted=manifest.memory if manifest else None,
        ),
        sensors=sensors,
        conditions=(
            conditions.summarize(sensors, sustained, plan.new_tokens)
            if sensors
            else measurement.Conditions()
        ),
    )


def at_most(manifest: Manifest | None) -> AtMost:
    """What the bundle's profile promises, if it is one of the catalogue."""
    if manifest is None or manifest.profile not in profiles.names():
        return AtMost()
    profile = profiles.load(manifest.profile)
    bounds = roofline.bounds(manifest.family, manifest.memory, manifest.parameters, profile)
    return AtMost(decode=bounds.decode, prefill=bounds.prefill)


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
    """`load` with the samples of the other processes first; those have no place in this time."""
    if one.name != "load":
        return one
    earlier = [sample for load in loads for sample in load.samples]
    return Series(name=one.name, unit=one.unit, samples=(*earlier, *one.samples))


def _sensors(
    there: Probe,
    series: Sequence[Series],
    sustained: Sequence[Sustained],
    recording: Recording,
    origin: float,
) -> measurement.Sensors | None:
    samples = recording.samples
    if not samples:
        return None
    started = min((at for one in series for at in one.started_s), default=0.0)
    ended = max(
        [*(at for one in series for at in one.ended_s), *(one.ended_s for one in sustained)],
        default=0.0,
    )
    page = there.page_bytes
    files = [
        _track(sensor, [sample.words[number] for sample in samples])
        for number, sensor in enumerate(there.sensors)
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
                recording.tegrastats,
                [sample.at_s for sample in samples],
                known={track.kind for track in files},
            ),
        ),
    )


def _track(sensor: Sensor, words: Sequence[str]) -> measurement.Track:
    told: dict[str, tuple[float | str | None, ...]]
    if sensor.unit == "text":
        told = {"words": tuple(sensor.word(word) for word in words)}
    else:
        told = {"values": tuple(_rounded(sensor.reading(word)) for word in words)}
    return measurement.Track.model_validate(
        {"kind": sensor.kind, "name": sensor.name, "unit": sensor.unit, "path": sensor.path, **told}
    )


def _rounded(value: float | None) -> float | None:
    # Scaling by 1e-6 leaves tails such as 3.8000000000000003.
    return None if value is None else round(value, 9)
