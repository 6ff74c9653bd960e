"""The validation result of a bundle as this machine answers, for tests with a fault in its way."""

from __future__ import annotations

from sphere_edge.bundle import reference as references
from sphere_edge.bundle.read import Bundle
from sphere_edge.certify import on_device, on_host
from sphere_edge.certify.on_device import Settings, Subject
from sphere_edge.certify.validation_result import ValidationResult
from sphere_edge.devices.local import LocalDevice


def certified(
    bundle: Bundle,
    *,
    repeat: int = 2,
    short: bool = False,
    backend: str | None = None,
    **environment: str,
) -> ValidationResult:
    """The result, which is not kept: a broken copy has the id of the right bundle.

    `backend` None: what the bundle prefers. `environment`: of the runner, as the library that it
    loads first.
    """
    folder = on_host.reference_folder(bundle)
    reference = references.read(folder)
    assert reference is not None
    return on_device.certify(
        LocalDevice(environment),
        Subject(on_host.installed_here(bundle, folder), bundle.manifest, reference),
        Settings(repeat=repeat, short=short),
        backend,
    )
