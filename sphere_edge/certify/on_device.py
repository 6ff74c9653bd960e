"""Runs `sphere-edge-run certify` on a device, judges it, and keeps the verdict there."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.reference import FOLDER, Reference
from sphere_edge.certify import kernels
from sphere_edge.certify.tolerance import tolerance_of
from sphere_edge.certify.verdict import (
    Verdict,
    Verdicts,
    as_text,
    judge,
    parse_json,
    read_report,
    read_verdicts,
    unusable,
)
from sphere_edge.devices import payload
from sphere_edge.devices.device import Device, read_file

VERDICT = "verdict.json"
_STEP_TIMEOUT_S = 60.0
# What a driver that is missing, refuses kernels, is too small or crashes ends in.
DOES_NOT_RUN = (
    errors.UnsupportedError,
    errors.LoadFailedError,
    errors.OutOfMemoryError,
    errors.InternalError,
)


@dataclass(frozen=True)
class Place:
    """How the device calls its runner with the bundle, and where the reference lies there."""

    argv: tuple[str, ...]
    reference: str


def deployed(folder: str, manifest: Manifest) -> Place:
    """In a folder that `deploy` has made."""
    inside = any(file.role == "reference" for file in manifest.files)
    reference = f"{folder}/bundle/{FOLDER}" if inside else f"{folder}/{FOLDER}"
    return Place(tuple(payload.runner(folder, "certify", ())), reference)


def certify(
    device: Device,
    place: Place,
    manifest: Manifest,
    reference: Reference,
    *,
    repeat: int,
    short: bool,
    threads: int = 0,
    backend: str | None = None,
) -> Verdict:
    """The verdict on the bundle at `place`; when it fails, with the kernel that began it.

    `backend`: that one and no other; None: the one that the runtime chooses. Raises what the runner
    reports, LoadFailedError when it died.
    """
    words = [*place.argv, "--reference", place.reference]
    words += ["--threads", str(threads)] if threads else []
    words += ["--backend", backend] if backend is not None else []
    asked = [*words, "--repeat", str(repeat), *(["--short"] if short else [])]
    timeout_s = _STEP_TIMEOUT_S * (len(reference.steps) + repeat * 10)
    report = read_report(_run(device, asked, timeout_s))
    allowed = tolerance_of(manifest, report.backend)
    verdict = judge(report, reference, allowed, manifest.id, short=short)
    if verdict.certified or not reference.kernels:
        return verdict
    told = parse_json(_run(device, [*words, "--trace"], timeout_s))
    return verdict.model_copy(update={"kernel": kernels.first_wrong(told, reference, allowed)})


def certify_backend(
    device: Device,
    place: Place,
    manifest: Manifest,
    reference: Reference,
    backend: str,
    *,
    repeat: int,
    short: bool,
    threads: int = 0,
) -> Verdict:
    """The verdict on one backend; that it does not run at all is a verdict too.

    Raises what `certify` raises on the last one of the bundle's, which nothing can stand in for.
    """
    try:
        return certify(
            device, place, manifest, reference,
            repeat=repeat, short=short, threads=threads, backend=backend,
        )  # fmt: skip
    except DOES_NOT_RUN as error:
        if backend == manifest.backends[-1]:
            raise
        return unusable(backend, manifest, error, short=short, repeat=repeat)


def keep(device: Device, folder: str, verdict: Verdict) -> None:
    """Writes the verdict beside the bundle in `folder` on the device, in one step."""
    verdicts = kept(device, folder).with_one(verdict)
    with tempfile.TemporaryDirectory(prefix="sphere-edge-") as made:
        written = Path(made) / VERDICT
        written.write_text(as_text(verdicts), encoding="utf-8")
        device.push(written, f"{folder}/.{VERDICT}.new")
    moved = device.run(["mv", "-f", f"{folder}/.{VERDICT}.new", f"{folder}/{VERDICT}"])
    if moved.exit_code != 0:
        message = f"the verdict cannot be kept on {device.uri}: {moved.last_lines}"
        raise errors.StorageError(message)


def kept(device: Device, folder: str) -> Verdicts:
    """The verdicts beside the bundle in `folder` on the device."""
    try:
        return read_verdicts(read_file(device, f"{folder}/{VERDICT}"))
    except errors.NotFoundError:
        return Verdicts()


def _run(device: Device, argv: list[str], timeout_s: float) -> str:
    completed = device.run(argv, timeout_s=timeout_s)
    if completed.exit_code != 0:
        raise payload.runner_failure(completed, device.uri)
    return completed.stdout
