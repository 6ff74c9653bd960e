"""Finds the validation result that was kept for a bundle, on this machine or on the device."""

from __future__ import annotations

from pathlib import Path

from sphere_edge.bundle.read import Bundle, is_bundle
from sphere_edge.certify import kept_here, on_device
from sphere_edge.certify.validation_result import ValidationResult
from sphere_edge.devices.device import Device
from sphere_edge.devices.store import Store
from sphere_edge.errors import NotFoundError


def find(device: Device, path: Path, store: str | None, backend: str) -> ValidationResult | None:
    """The result for exactly this bundle on `backend` of `device`; None if it was not certified."""
    if not is_bundle(path):
        return None
    bundle = Bundle.open(path)
    found = kept_here.kept(bundle).on(backend) if device.uri == "local" else None
    if found is None:
        try:
            folder = Store(device, store).folder(bundle.manifest.name)
        except NotFoundError:
            return None
        found = on_device.kept(device, folder).on(backend)
    return found if found is not None and found.bundle == bundle.manifest.id else None
