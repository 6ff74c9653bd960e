"""Runs `sphere-edge-run certify` on a device, judges it, and keeps the verdict there."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.reference import FOLDER, Reference
from sphere_edge.certify import kernels
from sphere_edge.certify.tolerance import tolerance
from sphere_edge.certify.verdict import (
    Verdict,
    as_text,
    judge,
    parse_json,
    read_report,
    read_verdict,
)
from sphere_edge.devices import payload
from sphere_edge.devices.device import Device, read_file

VERDICT = "verdict.json"
_STEP_TIMEOUT_S = 60.0


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
) -> Verdict:
    """The verdict on the bundle at `place`; when it fails, with the kernel that began it.

    Raises what the runner reports, LoadFailedError when it died.
    """
    assert manifest.text is not None
    words = [*place.argv, "--reference", place.reference]
    words += ["--threads", str(threads)] if threads else []
    asked = [*words, "--repeat", str(repeat), *(["--short"] if short else [])]
    timeout_s = _STEP_TIMEOUT_S * (len(reference.steps) + repeat * 10)
    report = read_report(_run(device, asked, timeout_s))
    allowed = tolerance(
        manifest.quantization, kv_dtype=manifest.text.kv_dtype, backend=report.backend
    )
    verdict = judge(report, reference, allowed, manifest.id, short=short)
    if verdict.certified or not reference.kernels:
        return verdict
    told = parse_json(_run(device, [*words, "--trace"], timeout_s))
    return verdict.model_copy(update={"kernel": kernels.first_wrong(told, reference, allowed)})


def keep(device: Device, folder: str, verdict: Verdict) -> None:
    """Writes the verdict beside the bundle in `folder` on the device, in one step."""
    with tempfile.TemporaryDirectory(prefix="sphere-edge-") as made:
        written = Path(made) / VERDICT
        written.write_text(as_text(verdict), encoding="utf-8")
        device.push(written, f"{folder}/.{VERDICT}.new")
    moved = device.run(["mv", "-f", f"{folder}/.{VERDICT}.new", f"{folder}/{VERDICT}"])
    if moved.exit_code != 0:
        message = f"the verdict cannot be kept on {device.uri}: {moved.last_lines}"
        raise errors.StorageError(message)


def kept(device: Device, folder: str) -> Verdict | None:
    """The verdict beside the bundle in `folder` on the device, if there is one."""
    try:
        return read_verdict(read_file(device, f"{folder}/{VERDICT}"))
    except errors.NotFoundError:
        return None


def _run(device: Device, argv: list[str], timeout_s: float) -> str:
    completed = device.run(argv, timeout_s=timeout_s)
    if completed.exit_code != 0:
        raise payload.runner_failure(completed, device.uri)
    return completed.stdout
