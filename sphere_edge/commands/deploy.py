"""`sphere-edge deploy`: puts a bundle and the runtime on a device and proves that it runs there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sphere_edge import console
from sphere_edge.bundle.read import Bundle
from sphere_edge.certify import deployment
from sphere_edge.certify.prove import Proof
from sphere_edge.devices import service
from sphere_edge.devices.open import opened
from sphere_edge.devices.store import Plan


def deploy(
    bundle: Path,
    uri: str,
    store: str | None,
    *,
    dry_run: bool,
    as_json: bool,
    allow_uncertified: bool = False,
    as_service: bool = False,
) -> None:
    """Probes, sends, proves and switches; raises what each of these raises.

    `allow_uncertified`: a bundle that does not match its reference is used, with a warning.
    """
    found = Bundle.open(bundle)
    name = found.manifest.name
    with opened(uri) as device:
        if as_service:
            service.require_systemd(device)
        prepared = deployment.prepare(device, found, store, console.progress())
        if dry_run:
            plan = prepared.plan()
            _say_plan(plan, device.uri, as_json=as_json)
            prepared.store.require_room(plan)
            return
        deployed, proof = prepared.run(
            allow_uncertified=allow_uncertified, progress=console.progress()
        )
        _say_proof(proof, device.uri)
        root = prepared.store.root
        started = service.install(device, root, name) if as_service else None
    if as_json:
        unit = None if started is None else dataclasses.asdict(started)
        document = {**dataclasses.asdict(deployed), "device": device.uri, "name": name}
        console.write_json({**document, "service": unit})
        return
    sent, total = map(console.human_bytes, (deployed.sent_bytes, deployed.total_bytes))
    console.say(f"`{name}` runs on {device.uri}: {sent} of {total} were sent")
    if started is not None:
        console.say(started.summary)
    console.write(deployed.folder)


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
