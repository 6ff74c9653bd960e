"""`sphere-edge certify`: proves that a bundle answers on a device as its reference says."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

from sphere_edge import console
from sphere_edge.bundle import reference as references
from sphere_edge.bundle.read import MANIFEST, Bundle
from sphere_edge.certify import here, on_device
from sphere_edge.certify.verdict import Verdict
from sphere_edge.devices.device import Device, read_file
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.open import opened
from sphere_edge.devices.store import Store
from sphere_edge.errors import (
    FormatMismatchError,
    ModelCorruptError,
    NotFoundError,
    UnsupportedError,
)


def certify(
    bundle: Path,
    *,
    uri: str | None,
    store: str | None,
    repeat: int,
    short: bool,
    threads: int,
    backend: str | None,
    as_json: bool,
) -> None:
    """Runs the reference's steps, says how far off they are; LoadFailedError if that is too far.

    `uri` None: here, with the bundle where it lies. Otherwise it must have been deployed there.
    `backend` None: each that the bundle has code for; one that is right is enough then.
    """
    found = Bundle.open(bundle)
    folder = here.reference_folder(found, console.progress())
    reference = references.read(folder)
    if reference is None:
        message = f"`{folder}` holds no reference"
        raise ModelCorruptError(message, hint="package the model again")
    with opened(uri) if uri is not None else nullcontext(LocalDevice()) as device:
        there = _deployed(device, store, found) if uri is not None else None
        if there is None:
            place = here.in_place(found, folder)
        else:
            place = on_device.deployed(there, found.manifest)
        verdicts = []
        for each in _asked(found, backend):
            with console.progress().step(f"running {repeat} times on {each}"):
                verdict = on_device.certify_backend(
                    device, place, found.manifest, reference, each,
                    repeat=repeat, short=short, threads=threads,
                )  # fmt: skip
            if there is None:
                here.keep(found, verdict)
            else:
                on_device.keep(device, there, verdict)
            verdicts.append(verdict)
    _say(verdicts, uri or "this machine", as_json=as_json)


def _asked(bundle: Bundle, backend: str | None) -> tuple[str, ...]:
    backends = bundle.manifest.backends
    if backend is None:
        return backends
    if backend not in backends:
        message = f"the bundle `{bundle.manifest.name}` has no code for the backend `{backend}`"
        raise UnsupportedError(message, hint=f"it has code for: {', '.join(backends)}")
    return (backend,)


def _deployed(device: Device, store: str | None, bundle: Bundle) -> str:
    """The folder of this very bundle on the device."""
    manifest = bundle.manifest
    hint = f"sphere-edge deploy {bundle.folder} --device {device.uri}"
    try:
        folder = Store(device, store).folder(manifest.name)
    except NotFoundError as error:
        raise NotFoundError(error.message, hint=hint) from error
    try:
        told = json.loads(read_file(device, f"{folder}/bundle/{MANIFEST}", limit_bytes=16 << 20))
        deployed_id = told.get("id")
    except (ValueError, AttributeError):
        deployed_id = None
    if deployed_id != manifest.id:
        message = f"`{manifest.name}` on {device.uri} is another bundle than `{bundle.folder}`"
        raise FormatMismatchError(message, hint=hint)
    return folder


def _say(verdicts: list[Verdict], where: str, *, as_json: bool) -> None:
    trusted = next((one.backend for one in verdicts if one.certified), None)
    if as_json:
        console.write_json(
            {"backend": trusted, "verdicts": [one.model_dump(mode="json") for one in verdicts]}
        )
    else:
        for one in verdicts:
            console.write(one.summary)
    if trusted is None:
        raise verdicts[0].failure(where)
    for one in verdicts:
        if not one.certified:
            console.warn(one.failure(where).message)
