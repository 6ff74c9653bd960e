"""Puts a bundle and the runtime on a device, and switches to it once it is proven there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from sphere_edge.bundle.files import MANIFEST, TRUSTED_KEYS
from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.trust import SignedBundle
from sphere_edge.certify.prove import DeployedFolder, Proof, prove, reference_items
from sphere_edge.console import SILENT, Progress
from sphere_edge.devices import payload, suitability
from sphere_edge.devices.device import Device
from sphere_edge.devices.items import Item
from sphere_edge.devices.probe import probe
from sphere_edge.devices.store import Deployed, Plan, Store
from sphere_edge.errors import ModelCorruptError


@dataclass(frozen=True)
class Deployment:
    """A bundle that suits the device, with all that has to be there."""

    device: Device
    bundle: Bundle
    store: Store
    items: tuple[Item, ...]

    def trusted(self, checked: SignedBundle, keys: Path) -> Deployment:
        """The same with the file `keys` beside the bundle, where the runner checks at each opening.

        Raises ModelCorruptError unless `checked`, whose signatures count, is what will be sent.
        """
        sent = {item.path: item.sha256 for item in self.items}[f"bundle/{MANIFEST}"]
        is_same = sent == hashlib.sha256(checked.manifest).hexdigest()
        if checked.id != self.bundle.manifest.id or not is_same:
            message = f"`{checked.path}` was changed while it was being deployed"
            raise ModelCorruptError(message, hint="repeat it when nobody writes to the bundle")
        return replace(self, items=(*self.items, payload.item(TRUSTED_KEYS, keys)))

    def warn_of_no_keys(self, progress: Progress) -> None:
        """For one without trusted keys: where the device has a bundle of this name with them."""
        name = self.bundle.manifest.name
        if name not in (one.name for one in self.store.installed()):
            return
        file = f"{self.store.folder(name)}/{TRUSTED_KEYS}"
        if self.device.run(["test", "-e", file]).exit_code == 0:
            progress.warn(
                f"`{name}` on {self.device.uri} is opened only with a trusted key's signature;"
                " without --trusted FILE any bundle will be"
            )

    def plan(self) -> Plan:
        """What would be sent, timed. Changes nothing there."""
        return self.store.plan(self.items, measure=True)

    def run(
        self, *, allow_uncertified: bool = False, progress: Progress = SILENT
    ) -> tuple[Deployed, Proof]:
        """Sends, proves and switches; until the switch the device uses what it did before.

        Raises what `Store.deploy` and `prove` raise.
        """
        proofs: list[Proof] = []

        def smoke(folder: str) -> None:
            proofs.append(
                prove(
                    DeployedFolder(self.device, folder),
                    self.bundle,
                    allow_uncertified=allow_uncertified,
                    progress=progress,
                )
            )

        deployed = self.store.deploy(
            self.bundle.manifest.name, self.items, smoke=smoke, progress=progress
        )
        return deployed, proofs[0]


def prepare(
    device: Device, bundle: Bundle, store: str | None = None, progress: Progress = SILENT
) -> Deployment:
    """Asks the device what it is, checks that the bundle suits it, builds the runtime it needs.

    `store`: the folder of the store there; None: the device's usual one.
    """
    manifest = bundle.manifest
    found = probe(device, folder=store)
    suitability.check(manifest, found, device.uri)
    wanted = payload.Runtime(manifest.engine, manifest.ggml_gpu)
    runtime = payload.runtime_items(found, device.uri, wanted, progress)
    items = (*payload.bundle_items(bundle), *runtime, *reference_items(bundle, progress))
    return Deployment(device, bundle, Store(device, store), items)
