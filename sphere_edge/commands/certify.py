"""`sphere-edge certify`: proves that a bundle answers on a device as its reference says."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import console
from sphere_edge.bundle.read import Bundle
from sphere_edge.certify.certifying import Where, certified
from sphere_edge.certify.on_device import Settings


def certify(bundle: Path, where: Where, settings: Settings, *, as_json: bool) -> None:
    """Runs the reference's steps, says how far off they are; LoadFailedError if that is too far.

    Of several backends one that is certified is enough.
    """
    results = certified(Bundle.open(bundle), where, settings, console.progress())
    backend = next((one.backend for one in results if one.certified), None)
    if as_json:
        console.write_json(
            {"backend": backend, "results": [one.model_dump(mode="json") for one in results]}
        )
    else:
        for one in results:
            console.write(one.summary)
    machine = where.uri or "this machine"
    if backend is None:
        raise results[0].failure(machine)
    for one in results:
        if not one.certified:
            console.warn(one.failure(machine).message)
