"""`sphere-edge deploy`: puts a bundle and the runtime on a device and proves that it runs there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from sphere_edge import console, errors
from sphere_edge.boards import python_there, server_deployment
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.read import Bundle, signature_bytes
from sphere_edge.certify import deployment
from sphere_edge.certify.prove import Proof
from sphere_edge.devices import service
from sphere_edge.devices.open import StoreAddress, opened
from sphere_edge.devices.service import Address
from sphere_edge.devices.store import Plan, Store
from sphere_edge.packaging.built_in_models import path_of

if TYPE_CHECKING:
    # At run time only for a service: a server is half a second of imports.
    from sphere_edge.boards.installing import Installed


@dataclasses.dataclass(frozen=True)
class Options:
    """How to deploy. `dry_run`: only say what would be sent.

    `allow_uncertified`: a bundle that does not match its reference is used, with a warning.
    `service_at`: a service of the device serves it there. `trusted`: a file of keys, one of which
    must have signed the bundle.
    """

    dry_run: bool = False
    allow_uncertified: bool = False
    service_at: Address | None = None
    trusted: Path | None = None


def deploy(bundle: Path, to: StoreAddress, options: Options, *, as_json: bool) -> None:
    """Probes, sends, proves and switches; raises what each of these raises."""
    if path_of(str(bundle)) is not None and not bundle.exists():
        message = f"`{bundle}` is a built-in model, and what is deployed is a bundle"
        hint = f"make one for the device first: `sphere-edge package {bundle} --profile PROFILE`"
        raise errors.NotFoundError(message, hint=hint)
    keys = None if options.trusted is None else deployment.KeyFile.read(options.trusted)
    found = Bundle.open(bundle)
    checked = None if keys is None else keys.check(found, called=bundle)
    if checked is not None:
        for signer in checked.signers:
            console.say(f"signed by {signer}, which is trusted")
    elif signature_bytes(bundle) is not None:
        console.warn("the bundle's signatures are not checked: --trusted FILE does it")
    name, service_at = found.manifest.name, options.service_at
    if service_at is not None:
        server_deployment.require_board(to.uri)
    with opened(to.uri) as device:
        if service_at is not None:
            service.require_systemd(device)
            python_there.find(device)
        prepared = deployment.prepare(device, found, to.store, console.progress())
        if checked is not None:
            prepared = prepared.trusted(checked)
        else:
            prepared.warn_of_no_keys(prepared.store.installed(), console.progress())
        if options.dry_run:
            plan = prepared.plan()
            _say_plan(plan, device.uri, as_json=as_json)
            prepared.store.require_room(plan)
            return
        deployed, proof = prepared.run(
            allow_uncertified=options.allow_uncertified, progress=console.progress()
        )
        _say_proof(proof, device.uri)
        served = _serve(prepared.store, found.manifest, service_at)
    if as_json:
        unit = None if served is None else dataclasses.asdict(served)
        document = {**dataclasses.asdict(deployed), "device": device.uri, "name": name}
        console.write_json({**document, "service": unit})
        return
    sent, total = map(console.human_bytes, (deployed.sent_bytes, deployed.total_bytes))
    console.say(f"`{name}` runs on {device.uri}: {sent} of {total} were sent")
    if served is not None:
        console.say(served.status.summary)
        console.say(f"it serves {served.url} on the device; its key is in {served.key_file} there")
    console.write(deployed.folder)


def _serve(store: Store, manifest: Manifest, address: Address | None) -> Installed | None:
    """Installs a service; one that is there already goes on with the new bundle."""
    if address is not None:
        from sphere_edge.boards import installing

        served = installing.install(store, manifest, address, console.progress())
        _require_ready(served, store.device.uri)
        return served
    if service.is_installed(store.device, manifest.name):
        console.say(service.restart(store.device, store.root, manifest.name).summary)
    return None


def _require_ready(served: Installed, uri: str) -> None:
    """Raises LoadFailedError, after the service's log, if it takes no requests."""
    if served.status.ready:
        return
    console.say(served.status.summary)
    for line in served.status.output:
        console.say(line)
    message = f"the service `{served.status.unit}` on {uri} does not take requests"
    hint = "the lines above are its log; `sphere-edge device service status` shows it again"
    raise errors.LoadFailedError(message, hint=hint)


def _say_proof(proof: Proof, uri: str) -> None:
    instead = "" if proof.used is None else f"; {proof.used.backend} is used instead"
    for one in proof.failed:
        console.warn(f"{one.failure(uri).message}{instead}")
    if proof.used is not None:
        console.say(proof.used.summary)


def _say_plan(plan: Plan, uri: str, *, as_json: bool) -> None:
    if as_json:
        document = dataclasses.asdict(plan) | {"device": uri}
        missing = document.pop("missing")
        document["files"] = [{"path": one["path"], "bytes": one["bytes"]} for one in missing]
        console.write_json(document)
        return
    for one in plan.missing:
        console.write(f"{console.human_bytes(one.bytes):>12}  {one.path}")
    sent, total = map(console.human_bytes, (plan.send_bytes, plan.total_bytes))
    seconds = "" if plan.seconds is None else f", about {plan.seconds:.0f} s"
    console.say(f"would send {sent} of {total} to {uri}{seconds}")
