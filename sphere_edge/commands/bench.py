"""`sphere-edge bench`: measures speed, start-up, memory, heat and power on a device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sphere_edge import console
from sphere_edge.bench import report_file, tables
from sphere_edge.bench.measurement import Measurement, UpperBounds
from sphere_edge.bench.plan import Options
from sphere_edge.bench.run import rendered, run, write
from sphere_edge.bench.runs_report import Runs
from sphere_edge.bench.target import ModelOnDevice
from sphere_edge.bundle.read import Bundle, is_bundle
from sphere_edge.certify.find import find
from sphere_edge.certify.validation_result import ValidationResult
from sphere_edge.devices.open import StoreAddress, opened
from sphere_edge.packaging import cached

_SUFFIXES = {"json": ".json", "csv": ".csv", "markdown": ".md"}


@dataclass(frozen=True)
class Output:
    """Report files, and what is on stdout instead of tables: json, csv or markdown."""

    reports: tuple[Path, ...] = ()
    form: str | None = None


def bench(bundle: Path, at: StoreAddress, options: Options, output: Output) -> None:
    """Prints medians with their spread, memory as predicted and as measured, and the conditions."""
    form = output.form
    for path in output.reports:
        report_file.check(path)
    if at.uri == "local":
        bundle = cached.bundle_of(bundle, console.progress())
    with opened(at.uri) as device:
        result = run(ModelOnDevice(device, bundle, at.store), options, console.progress())
        validation = None
        if form is None and isinstance(result, Measurement):
            validation = find(device, bundle, at.store, result.backend)
    for path in output.reports:
        write(result, path)
        console.say(f"report: {path}")
    if form is not None:
        console.write(rendered(result, _SUFFIXES[form]), end="")
    elif isinstance(result, Measurement):
        _show(result)
    else:
        _show_runs(result.for_report())
    if isinstance(result, Measurement):
        if result.backend_reason is not None:
            console.warn(result.backend_reason)
        if form is None and is_bundle(bundle):
            _show_bundle(bundle, result, validation)


def _show_bundle(path: Path, measured: Measurement, validation: ValidationResult | None) -> None:
    """Whether the answers are correct, and which device the upper bounds are of."""
    manifest = Bundle.open(path).manifest
    console.write("")
    summary = (
        validation.summary if validation else f"not certified yet: `sphere-edge certify {path}`"
    )
    console.say(f"answers: {summary}")
    if measured.upper_bounds != UpperBounds():
        console.say(f"upper bound: of `{manifest.profile}`, by its bandwidth and arithmetic")


def _show_runs(shown: Runs) -> None:
    console.say(f"{shown.name}: {shown.subtitle}")
    console.write_table(("WHAT", "MEDIAN →"), shown.medians)


def _show(measured: Measurement) -> None:
    console.say(f"{measured.model}: {tables.subtitle(measured)}")
    console.write_table(tables.SPEED, tables.speed(measured))
    console.write("")
    console.write_table(tables.MEMORY, tables.memory(measured))
    console.write("")
    console.write_table(tables.CONDITIONS, tables.conditions(measured))
    if measured.kernels:
        console.write("")
        console.write_table(tables.KERNELS, tables.kernels(measured))
