"""`sphere-edge deploy`: puts a bundle and the runtime on a device and proves that it runs there."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import console
from sphere_edge.bundle.read import Bundle
from sphere_edge.devices import payload, suitability
from sphere_edge.devices.device import Device
from sphere_edge.devices.open import opened
from sphere_edge.devices.probe import probe
from sphere_edge.devices.store import Plan, Store

_SMOKE_PROMPT = "Hello"
_SMOKE_TOKENS = 4
_SMOKE_TIMEOUT_S = 600.0


def deploy(bundle: Path, uri: str, store: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Probe, fit, push, hash, link, smoke generation, switch. Raises what each of these raises."""
    found = Bundle.open(bundle)
    with opened(uri) as device:
        there = probe(device, folder=store)
        suitability.check(found.manifest, there, device.uri)
        runtime = payload.runtime_items(there, device.uri, console.progress())
        items = [*payload.bundle_items(found), *runtime]
        target = Store(device, store)
        if dry_run:
            plan = target.plan(items, measure=True)
            _say_plan(plan, device, as_json=as_json)
            target.require_room(plan)
            return
        deployed = target.deploy(
            found.manifest.name,
            items,
            smoke=lambda folder: smoke(device, folder),
            progress=console.progress(),
        )
    if as_json:
        console.write_json(
            {
                "device": device.uri,
                "name": found.manifest.name,
                "bundle": deployed.bundle,
                "folder": deployed.folder,
                "sent_bytes": deployed.sent_bytes,
                "total_bytes": deployed.total_bytes,
            }
        )
        return
    sent, total = map(console.human_bytes, (deployed.sent_bytes, deployed.total_bytes))
    console.say(f"`{found.manifest.name}` runs on {device.uri}: {sent} of {total} were sent")
    console.write(deployed.folder)


def smoke(device: Device, folder: str) -> None:
    """A few tokens from the bundle in `folder` on the device. Raises what its runner reports."""
    words = [_SMOKE_PROMPT, "--temperature", "0", "--max-tokens", str(_SMOKE_TOKENS)]
    completed = device.run(payload.runner(folder, "generate", words), timeout_s=_SMOKE_TIMEOUT_S)
    if completed.exit_code != 0:
        hint = "the bundle that was in use there still is"
        raise payload.runner_failure(completed, device.uri, hint=hint)


def _say_plan(plan: Plan, device: Device, *, as_json: bool) -> None:
    if as_json:
        console.write_json(
            {
                "device": device.uri,
                "bundle": plan.bundle,
                "send_bytes": plan.send_bytes,
                "total_bytes": plan.total_bytes,
                "free_bytes": plan.free_bytes,
                "seconds": plan.seconds,
                "files": [{"path": one.path, "bytes": one.bytes} for one in plan.missing],
            }
        )
        return
    for one in plan.missing:
        console.write(f"{console.human_bytes(one.bytes):>12}  {one.path}")
    sent, total = map(console.human_bytes, (plan.send_bytes, plan.total_bytes))
    seconds = "" if plan.seconds is None else f", about {plan.seconds:.0f} s"
    console.say(f"would send {sent} of {total} to {device.uri}{seconds}")
