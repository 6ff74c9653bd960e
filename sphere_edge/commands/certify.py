"""`sphere-edge certify`: proves that a bundle answers on a device as its reference says."""

from __future__ import annotations

import json
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
from sphere_edge.errors import FormatMismatchError, ModelCorruptError


def certify(
    bundle: Path,
    *,
    uri: str | None,
    store: str | None,
    repeat: int,
    short: bool,
    threads: int,
    as_json: bool,
) -> None:
    """Runs the reference's steps, says how far off they are; LoadFailedError if that is too far.

    `uri` None: here, with the bundle where it lies. Otherwise it must have been deployed there.
    """
    found = Bundle.open(bundle)
    folder = here.reference_folder(found, console.progress())
    reference = references.read(folder)
    if reference is None:
        message = f"`{folder}` holds no reference"
        raise ModelCorruptError(message, hint="package the model again")
    with console.progress().step(f"running {repeat} times"):
        if uri is None:
            place = here.in_place(found, folder)
            verdict = on_device.certify(
                LocalDevice(),
                place,
                found.manifest,
                reference,
                repeat=repeat,
                short=short,
                threads=threads,
            )
            here.keep(found, verdict)
        else:
            with opened(uri) as device:
                there = _deployed(device, store, found)
                verdict = on_device.certify(
                    device,
                    on_device.deployed(there, found.manifest),
                    found.manifest,
                    reference,
                    repeat=repeat,
                    short=short,
                    threads=threads,
                )
                on_device.keep(device, there, verdict)
    _say(verdict, uri or "this machine", as_json=as_json)


def _deployed(device: Device, store: str | None, bundle: Bundle) -> str:
    """The folder of this very bundle on the device."""
    manifest = bundle.manifest
    folder = Store(device, store).folder(manifest.name)
    try:
        told = json.loads(read_file(device, f"{folder}/bundle/{MANIFEST}", limit_bytes=16 << 20))
        deployed_id = told.get("id")
    except (ValueError, AttributeError):
        deployed_id = None
    if deployed_id != manifest.id:
        message = f"`{manifest.name}` on {device.uri} is another bundle than `{bundle.folder}`"
        hint = f"sphere-edge deploy {bundle.folder} --device {device.uri}"
        raise FormatMismatchError(message, hint=hint)
    return folder


def _say(verdict: Verdict, where: str, *, as_json: bool) -> None:
    if as_json:
        console.write_json(verdict.model_dump(mode="json"))
    else:
        console.write(verdict.summary)
    if not verdict.certified:
        raise verdict.failure(where)
