"""The verdict on a bundle as this machine answers, for tests with a fault in its way."""

from __future__ import annotations

from sphere_edge.bundle import reference as references
from sphere_edge.bundle.read import Bundle
from sphere_edge.certify import here, on_device
from sphere_edge.certify.verdict import Verdict
from sphere_edge.devices.local import LocalDevice


def certified(
    bundle: Bundle,
    *,
    repeat: int = 2,
    short: bool = False,
    backend: str | None = None,
    **environment: str,
) -> Verdict:
    """The verdict, which is not kept: a broken copy has the id of the right bundle.

    `backend` None: what the bundle prefers. `environment`: of the runner, as the library that it
    loads first.
    """
    folder = here.reference_folder(bundle)
    reference = references.read(folder)
    assert reference is not None
    return on_device.certify(
        LocalDevice(environment),
        here.in_place(bundle, folder),
        bundle.manifest,
        reference,
        repeat=repeat,
        short=short,
        backend=backend,
    )
