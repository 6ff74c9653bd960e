"""Certifies a bundle in full, backend by backend, here or where it has been deployed."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass

from sphere_edge.bundle import reference as references
from sphere_edge.bundle.files import MANIFEST
from sphere_edge.bundle.read import Bundle
from sphere_edge.certify import kept_here, on_device, on_host
from sphere_edge.certify.on_device import Settings, Subject
from sphere_edge.certify.validation_result import ValidationResult
from sphere_edge.console import SILENT, Progress
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


@dataclass(frozen=True)
class Where:
    """The device `uri` with the store in the folder `store`; `uri` None: this machine itself."""

    uri: str | None = None
    store: str | None = None


def certified(
    bundle: Bundle, where: Where, settings: Settings, progress: Progress = SILENT
) -> list[ValidationResult]:
    """A result for each backend that is to be certified; all are kept.

    On a device the bundle must have been deployed. Raises what `certify_backend` raises.
    """
    backends = _backends(bundle, settings.backend)
    folder = on_host.reference_folder(bundle, progress)
    reference = references.read(folder)
    if reference is None:
        message = f"`{folder}` holds no reference"
        raise ModelCorruptError(message, hint="package the model again")
    results = []
    with opened(where.uri) if where.uri is not None else nullcontext(LocalDevice()) as device:
        if where.uri is None:
            deployed, installed = None, on_host.installed_here(bundle, folder)
        else:
            deployed = _deployed(device, where.store, bundle)
            installed = on_device.deployed(deployed, bundle.manifest)
        subject = Subject(installed, bundle.manifest, reference)
        for each in backends:
            with progress.step(f"running {settings.repeat} times on {each}"):
                result = on_device.certify_backend(device, subject, settings, each)
            if deployed is None:
                kept_here.keep(bundle, result)
            else:
                on_device.keep(device, deployed, result)
            results.append(result)
    return results


def _backends(bundle: Bundle, backend: str | None) -> tuple[str, ...]:
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
        found = json.loads(read_file(device, f"{folder}/bundle/{MANIFEST}", limit_bytes=16 << 20))
        deployed_id = found.get("id")
    except (ValueError, AttributeError):
        deployed_id = None
    if deployed_id != manifest.id:
        message = f"`{manifest.name}` on {device.uri} is not the bundle `{bundle.folder}`"
        raise FormatMismatchError(message, hint=hint)
    return folder
