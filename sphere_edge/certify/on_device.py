"""Runs `sphere-edge-run certify` on a device, validates its report, and keeps the result there."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.reference import FOLDER, Reference
from sphere_edge.certify import kernels
from sphere_edge.certify.tolerance import tolerance_of
from sphere_edge.certify.validation import Expected, parse_json, read_report, validate
from sphere_edge.certify.validation_result import (
    ValidationResult,
    ValidationResults,
    as_text,
    read_results,
)
from sphere_edge.devices import payload
from sphere_edge.devices.device import Device, read_file

# The runtime on the device reads it there.
RESULTS = "verdict.json"
_STEP_TIMEOUT_S = 60.0
# How a driver that is missing, rejects kernels, lacks memory or crashes shows.
DOES_NOT_RUN = (
    errors.UnsupportedError,
    errors.LoadFailedError,
    errors.OutOfMemoryError,
    errors.InternalError,
)


@dataclass(frozen=True)
class Installed:
    """A bundle as the device sees it: how its runner is called, where the reference lies."""

    argv: tuple[str, ...]
    reference: str


@dataclass(frozen=True)
class Subject:
    """What is certified: an installed bundle, and what it must answer."""

    installed: Installed
    manifest: Manifest
    reference: Reference


@dataclass(frozen=True)
class Settings:
    """How it is certified: every step `repeat` times; `short`: fewer steps; `threads` 0: usual.

    `backend`: on that one alone; None: on each that the bundle has code for.
    """

    repeat: int
    short: bool
    threads: int = 0
    backend: str | None = None


def deployed(folder: str, manifest: Manifest) -> Installed:
    """In a folder that `deploy` has made."""
    inside = any(file.role == "reference" for file in manifest.files)
    reference = f"{folder}/bundle/{FOLDER}" if inside else f"{folder}/{FOLDER}"
    return Installed(tuple(payload.runner(folder, "certify", ())), reference)


def certify(
    device: Device, subject: Subject, settings: Settings, backend: str | None = None
) -> ValidationResult:
    """The result for the installed bundle; when it fails, with the kernel that began it.

    `backend`: that one and no other; None: the one that the runtime chooses. Raises what the runner
    reports, LoadFailedError when it died.
    """
    manifest, reference = subject.manifest, subject.reference
    words = [*subject.installed.argv, "--reference", subject.installed.reference]
    words += ["--threads", str(settings.threads)] if settings.threads else []
    words += ["--backend", backend] if backend is not None else []
    all_steps = [*words, "--repeat", str(settings.repeat)]
    all_steps += ["--short"] if settings.short else []
    timeout_s = _STEP_TIMEOUT_S * (len(reference.steps) + settings.repeat * 10)
    report = read_report(_run(device, all_steps, timeout_s))
    allowed = tolerance_of(manifest, report.backend)
    result = validate(report, Expected(manifest.id, reference, allowed, settings.short))
    if result.certified or not reference.kernels:
        return result
    trace = parse_json(_run(device, [*words, "--trace"], timeout_s))
    return result.model_copy(update={"kernel": kernels.first_wrong(trace, reference, allowed)})


def certify_backend(
    device: Device, subject: Subject, settings: Settings, backend: str
) -> ValidationResult:
    """The result of one backend; that it does not run at all is a result too.

    Raises what `certify` raises on the last one of the bundle's, which nothing can stand in for.
    """
    try:
        return certify(device, subject, settings, backend)
    except DOES_NOT_RUN as error:
        if backend == subject.manifest.backends[-1]:
            raise
        return failed_to_run(subject, settings, backend, error)


def failed_to_run(
    subject: Subject, settings: Settings, backend: str, error: errors.SphereEdgeError
) -> ValidationResult:
    """The result of a backend that ended in `error` before it answered."""
    return ValidationResult(
        certified=False,
        bundle=subject.manifest.id,
        backend=backend,
        engine=subject.manifest.engine,
        short=settings.short,
        repeat=settings.repeat,
        agreement=0.0,
        largest=0.0,
        mean=0.0,
        repeats=True,
        non_finite=0,
        reasons=(f"it does not run: {error.message}",),
        seconds=0.0,
        runtime="",
    )


def keep(device: Device, folder: str, result: ValidationResult) -> None:
    """Writes the result beside the bundle in `folder` on the device, in one step."""
    results = kept(device, folder).with_one(result)
    with tempfile.TemporaryDirectory(prefix="sphere-edge-") as made:
        written = Path(made) / RESULTS
        written.write_text(as_text(results), encoding="utf-8")
        device.push(written, f"{folder}/.{RESULTS}.new")
    moved = device.run(["mv", "-f", f"{folder}/.{RESULTS}.new", f"{folder}/{RESULTS}"])
    if moved.exit_code != 0:
        message = f"the validation result cannot be kept on {device.uri}: {moved.last_lines}"
        raise errors.StorageError(message)


def kept(device: Device, folder: str) -> ValidationResults:
    """The results beside the bundle in `folder` on the device."""
    try:
        return read_results(read_file(device, f"{folder}/{RESULTS}"))
    except errors.NotFoundError:
        return ValidationResults()


def _run(device: Device, argv: list[str], timeout_s: float) -> str:
    completed = device.run(argv, timeout_s=timeout_s)
    if completed.exit_code != 0:
        raise payload.runner_failure(completed, device.uri)
    return completed.stdout
