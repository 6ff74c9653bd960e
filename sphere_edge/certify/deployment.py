"""Puts a bundle and the runtime on a device, and switches to it once it is proven there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sphere_edge.bundle.files import MANIFEST, TRUSTED_KEYS
from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.trust import SignedBundle, TrustedKeys, signed_bundle
from sphere_edge.certify.prove import DeployedFolder, Proof, prove, reference_items
from sphere_edge.console import SILENT, Progress
from sphere_edge.devices import payload, suitability
from sphere_edge.devices.device import Device
from sphere_edge.devices.items import Item
from sphere_edge.devices.probe import probe
from sphere_edge.devices.store import Deployed, Installed, Plan, Store
from sphere_edge.errors import ModelCorruptError


@dataclass(frozen=True)
class KeyFile:
    """A file of trusted keys and what it says: its keys are checked with here and on the device."""

    path: Path
    keys: TrustedKeys

    @staticmethod
    def read(path: Path) -> KeyFile:
        """The file at `path`. Raises what TrustedKeys.read raises."""
        return KeyFile(path, TrustedKeys.read(path))

    def check(self, bundle: Bundle, called: Path | None = None) -> CheckedBundle:
        """The bundle, which one of the keys has signed; errors name it as `called`.

        Its files are not read: they are proven by the hashes that the signed manifest names.
        Raises UntrustedError and ModelCorruptError.
        """
        signed = signed_bundle(bundle.folder)
        if called is not None:
            signed = replace(signed, path=called)
        return CheckedBundle(signed, self.path, self.keys.check(signed))


@dataclass(frozen=True)
class CheckedBundle:
    """A bundle that the keys with the ids `signers` have signed, and the file that trusts them."""

    signed: SignedBundle
    key_file: Path
    signers: tuple[str, ...]


@dataclass(frozen=True)
class Deployment:
    """A bundle that suits the device, with all that has to be there."""

    device: Device
    bundle: Bundle
    store: Store
    items: tuple[Item, ...]

    def trusted(self, checked: CheckedBundle) -> Deployment:
        """The same with the file of keys beside the bundle, for the runner to check each opening.

        Raises ModelCorruptError unless `checked` is what will be sent.
        """
        signed = checked.signed
        sent = {item.path: item.sha256 for item in self.items}[f"bundle/{MANIFEST}"]
        is_same = sent == hashlib.sha256(signed.manifest).hexdigest()
        if signed.id != self.bundle.manifest.id or not is_same:
            message = f"`{signed.path}` was changed while it was being deployed"
            raise ModelCorruptError(message, hint="repeat it when nobody writes to the bundle")
        return replace(self, items=(*self.items, payload.item(TRUSTED_KEYS, checked.key_file)))

    def warn_of_no_keys(self, installed: Iterable[Installed], progress: Progress) -> None:
        """For one without trusted keys: where the device has a bundle of this name with them.

        `installed`: what the store has, as it lists it.
        """
        name = self.bundle.manifest.name
        if name not in (one.name for one in installed):
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
