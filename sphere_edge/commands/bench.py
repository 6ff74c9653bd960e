"""`sphere-edge bench`: measures speed, start-up, memory, heat and power on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sphere_edge import bench as benchmark
from sphere_edge import console
from sphere_edge.bench import audio, pictures, report_file, runs_report, tables
from sphere_edge.bench import report as reports
from sphere_edge.bench.measurement import AtMost, Measurement
from sphere_edge.bench.plan import plan_of
from sphere_edge.bundle.read import Bundle, is_bundle
from sphere_edge.certify import kept_here, on_device
from sphere_edge.certify.validation_result import ValidationResult
from sphere_edge.devices.device import Device
from sphere_edge.devices.open import opened
from sphere_edge.devices.store import Store
from sphere_edge.errors import InvalidArgumentError, NotFoundError
from sphere_edge.packaging import cached


def bench(
    bundle: Path,
    uri: str,
    *,
    store: str | None,
    prompt_tokens: str,
    new_tokens: int,
    repeat: int,
    threads: int,
    sustain: str | None,
    cool_below_c: float | None,
    backend: str | None,
    kernels: bool,
    recording: Path | None,
    image_size: str | None,
    steps: int | None,
    report: Sequence[Path],
    form: str | None,
) -> None:
    """Prints medians with their spread, memory as predicted and as measured, and the conditions.

    `form`: json, csv or markdown on stdout instead of tables.
    """
    for path in report:
        report_file.check(path)
    if uri == "local":
        bundle = cached.bundle_of(bundle, console.progress())
    if pictures.is_for_images(bundle):
        _bench_images(
            bundle, uri, store, pictures.plan_of(repeat, threads, image_size, steps), report, form
        )
        return
    if image_size is not None or steps is not None:
        message = "--image-size and --steps are for image models"
        raise InvalidArgumentError(message, hint="leave them out")
    plan = plan_of(
        prompt_tokens, new_tokens, repeat, threads, sustain, cool_below_c, backend, kernels
    )
    if is_bundle(bundle) and Bundle.open(bundle).manifest.task == "audio":
        _bench_audio(bundle, uri, store, recording, repeat, threads, report, form)
        return
    if recording is not None:
        message = "--audio is for speech models"
        raise InvalidArgumentError(message, hint="leave it out")
    with opened(uri) as device:
        measured = benchmark.measure(device, bundle, plan, store=store, progress=console.progress())
        result = _validation(device, bundle, store, measured.backend) if form is None else None
    for path in report:
        reports.write(measured, path)
        console.say(f"report: {path}")
    _show(measured, form)
    if measured.backend_reason is not None:
        console.warn(measured.backend_reason)
    if form is None and is_bundle(bundle):
        _show_beside(bundle, measured, result)


def _bench_audio(
    bundle: Path,
    uri: str,
    store: str | None,
    recording: Path | None,
    repeat: int,
    threads: int,
    report: Sequence[Path],
    form: str | None,
) -> None:
    """The same for speech: real-time factor, time to the first segment, memory."""
    with opened(uri) as device:
        measured = audio.measure(
            device, bundle, recording, repeat=repeat, threads=threads, store=store,
            progress=console.progress(),
        )  # fmt: skip
    _tell(measured.for_report(), report, form)


def _validation(
    device: Device, path: Path, store: str | None, backend: str
) -> ValidationResult | None:
    """What `certify` or `deploy` found out about this bundle on this backend of this device."""
    if not is_bundle(path):
        return None
    bundle = Bundle.open(path)
    result = kept_here.kept(bundle).on(backend) if device.uri == "local" else None
    if result is None:
        try:
            folder = Store(device, store).folder(bundle.manifest.name)
        except NotFoundError:
            return None
        result = on_device.kept(device, folder).on(backend)
    return result if result is not None and result.bundle == bundle.manifest.id else None


def _show_beside(path: Path, measured: Measurement, result: ValidationResult | None) -> None:
    """Whether the answers are right, and what the bounds of the table are of."""
    manifest = Bundle.open(path).manifest
    console.write("")
    told = result.summary if result else f"not certified yet: `sphere-edge certify {path}`"
    console.say(f"answers: {told}")
    if measured.at_most != AtMost():
        console.say(f"at most: what `{manifest.profile}` could do by its bandwidth and arithmetic")


def _bench_images(
    bundle: Path,
    uri: str,
    store: str | None,
    plan: pictures.PicturePlan,
    report: Sequence[Path],
    form: str | None,
) -> None:
    """The same for pictures: seconds per step, in total and to load, memory."""
    with opened(uri) as device:
        measured = pictures.measure(device, bundle, plan, store=store, progress=console.progress())
    _tell(measured.for_report(), report, form)


def _tell(shown: runs_report.Runs, report: Sequence[Path], form: str | None) -> None:
    for path in report:
        runs_report.write(shown, path)
        console.say(f"report: {path}")
    if form is not None:
        suffix = {"json": ".json", "csv": ".csv", "markdown": ".md"}[form]
        console.write(runs_report.rendered(shown, suffix), end="")
        return
    console.say(f"{shown.name}: {shown.subtitle}")
    console.write_table(("WHAT", "MEDIAN →"), shown.medians)


def _show(measured: Measurement, form: str | None) -> None:
    if form is not None:
        forms = {
            "json": reports.as_json,
            "csv": reports.comma_separated,
            "markdown": reports.markdown,
        }
        console.write(forms[form](measured), end="")
        return
    console.say(f"{measured.model}: {tables.subtitle(measured)}")
    console.write_table(tables.SPEED, tables.speed(measured))
    console.write("")
    console.write_table(tables.MEMORY, tables.memory(measured))
    console.write("")
    console.write_table(tables.CONDITIONS, tables.conditions(measured))
    if measured.kernels:
        console.write("")
        console.write_table(tables.KERNELS, tables.kernels(measured))
