"""Proves a bundle that lies on a device: it answers, and its answers match its reference."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.bundle import reference as references
from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.reference import Reference
from sphere_edge.certify import on_device, on_host
from sphere_edge.certify.on_device import Settings, Subject
from sphere_edge.certify.validation_result import ValidationResult
from sphere_edge.console import SILENT, Progress
from sphere_edge.devices.device import Device
from sphere_edge.devices.items import Item
from sphere_edge.engines.registry import ENGINES
from sphere_edge.errors import UnsupportedError

# Enough to see what differs from run to run; `certify` takes longer and sees more.
_SETTINGS = Settings(repeat=2, short=True)


@dataclass(frozen=True)
class Proof:
    """What a device was found to do with a bundle.

    `used`: the result of the backend that the runtime uses from now on; None where there is nothing
    to compare with (speech, images) or none was certified. `failed`: those of the backends tried
    before it.
    """

    used: ValidationResult | None
    failed: tuple[ValidationResult, ...] = ()


def reference_of(bundle: Bundle, progress: Progress = SILENT) -> Reference | None:
    """What the bundle should answer; None for speech and images, which have no reference yet."""
    try:
        return references.read(on_host.reference_folder(bundle, progress))
    except UnsupportedError:
        return None


def reference_items(bundle: Bundle, progress: Progress = SILENT) -> list[Item]:
    """What the device needs of the reference besides the bundle's own files."""
    try:
        return on_host.reference_items(bundle, progress)
    except UnsupportedError:
        return []


@dataclass(frozen=True)
class DeployedFolder:
    """The folder on a device in which a bundle was deployed."""

    device: Device
    folder: str


def prove(
    where: DeployedFolder,
    bundle: Bundle,
    *,
    allow_uncertified: bool = False,
    progress: Progress = SILENT,
) -> Proof:
    """Tries the backends of the bundle deployed in `where` up to the first that is certified.

    The results are kept there, so that the runtime leaves those that failed alone. Raises
    LoadFailedError when none is certified, unless `allow_uncertified`; and what the runner reports
    when the last backend does not run at all.
    """
    device, folder = where.device, where.folder
    manifest, reference = bundle.manifest, reference_of(bundle, progress)
    smoke_test = ENGINES[manifest.engine].smoke_test
    if reference is None:
        smoke_test.run_on(device, folder)
        return Proof(None)
    subject = Subject(on_device.deployed(folder, manifest), manifest, reference)
    failed: list[ValidationResult] = []
    for backend in manifest.backends:
        result = _result(where, subject, backend, progress)
        on_device.keep(device, folder, result)
        if result.certified:
            return Proof(result, tuple(failed))
        failed.append(result)
    if not allow_uncertified:
        failure = failed[0].failure(device.uri)
        failure.hint = "the bundle that was in use there still is; see docs/certify.md"
        raise failure
    return Proof(None, tuple(failed))


def _result(
    where: DeployedFolder, subject: Subject, backend: str, progress: Progress
) -> ValidationResult:
    """Of one backend, which first has to answer at all."""
    manifest = subject.manifest
    try:
        ENGINES[manifest.engine].smoke_test.run_on(where.device, where.folder, backend)
    except on_device.DOES_NOT_RUN as error:
        if backend == manifest.backends[-1]:
            raise
        return on_device.failed_to_run(subject, _SETTINGS, backend, error)
    with progress.step(f"certifying {backend}"):
        return on_device.certify_backend(where.device, subject, _SETTINGS, backend)
