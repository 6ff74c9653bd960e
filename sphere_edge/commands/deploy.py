"""`sphere-edge deploy`: puts a bundle and the runtime on a device and proves that it runs there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from sphere_edge import console
from sphere_edge.bench.audio import wav_of
from sphere_edge.bundle import reference as references
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.reference import Reference
from sphere_edge.certify import here, on_device
from sphere_edge.certify.verdict import Verdict, unusable
from sphere_edge.devices import payload, service, suitability
from sphere_edge.devices.device import Device
from sphere_edge.devices.items import Item
from sphere_edge.devices.open import opened
from sphere_edge.devices.probe import probe
from sphere_edge.devices.store import Plan, Store
from sphere_edge.errors import UnsupportedError
from sphere_edge.runtime.sound import SAMPLE_RATE

_SMOKE_PROMPT = "Hello"
_SMOKE_TOKENS = 4
_SMOKE_TIMEOUT_S = 600.0
# Enough to see what is not the same twice; `certify` takes longer and sees more.
_SHORT_REPEAT = 2


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
    """Probe, fit, push, hash, link, try, certify, switch. Raises what each of these raises.

    `allow_uncertified`: a bundle that answers wrongly is used all the same, with a warning.
    """
    found = Bundle.open(bundle)
    with opened(uri) as device:
        there = probe(device, folder=store)
        suitability.check(found.manifest, there, device.uri)
        if as_service:
            service.require_systemd(device)
        task = found.manifest.task
        runtime = payload.runtime_items(
            there, device.uri, console.progress(), task=task, gpu=found.manifest.ggml_gpu
        )
        reference = _reference(found)
        items = [*payload.bundle_items(found), *runtime, *reference[1]]
        target = Store(device, store)
        if dry_run:
            plan = target.plan(items, measure=True)
            _say_plan(plan, device, as_json=as_json)
            target.require_room(plan)
            return
        deployed = target.deploy(
            found.manifest.name,
            items,
            smoke=lambda folder: _prove(
                device, folder, found.manifest, reference[0], allow_uncertified
            ),
            progress=console.progress(),
        )
        started = service.install(device, target.root, found.manifest.name) if as_service else None
    if as_json:
        console.write_json(
            {
                "device": device.uri,
                "name": found.manifest.name,
                "bundle": deployed.bundle,
                "folder": deployed.folder,
                "sent_bytes": deployed.sent_bytes,
                "total_bytes": deployed.total_bytes,
                "service": None if started is None else dataclasses.asdict(started),
            }
        )
        return
    sent, total = map(console.human_bytes, (deployed.sent_bytes, deployed.total_bytes))
    console.say(f"`{found.manifest.name}` runs on {device.uri}: {sent} of {total} were sent")
    if started is not None:
        console.say(started.summary)
    console.write(deployed.folder)


def _reference(bundle: Bundle) -> tuple[Reference | None, list[Item]]:
    """What the bundle should answer, and what the device needs of that besides the bundle."""
    try:
        folder = here.reference_folder(bundle, console.progress())
    except UnsupportedError:
        # Speech and images: there is nothing to compare with yet.
        return None, []
    return references.read(folder), here.reference_items(bundle)


def _prove(
    device: Device,
    folder: str,
    manifest: Manifest,
    reference: Reference | None,
    allow_uncertified: bool,
) -> None:
    """A backend of the bundle in `folder` generates, and answers as its reference.

    They are tried in the bundle's order up to the first that does; the runtime leaves those before
    it alone from then on, by the verdicts that are kept there. LoadFailedError when none does.
    """
    if reference is None:
        smoke(device, folder, manifest.task)
        return
    refused: list[Verdict] = []
    for backend in manifest.backends:
        verdict = _verdict(device, folder, manifest, reference, backend)
        on_device.keep(device, folder, verdict)
        if verdict.certified:
            for one in refused:
                console.warn(f"{one.failure(device.uri).message}; {backend} is used instead")
            console.say(verdict.summary)
            return
        refused.append(verdict)
    failure = refused[0].failure(device.uri)
    if not allow_uncertified:
        failure.hint = "the bundle that was in use there still is; see docs/certify.md"
        raise failure
    for one in refused:
        console.warn(one.failure(device.uri).message)


def _verdict(
    device: Device, folder: str, manifest: Manifest, reference: Reference, backend: str
) -> Verdict:
    try:
        smoke(device, folder, manifest.task, backend)
    except on_device.DOES_NOT_RUN as error:
        if backend == manifest.backends[-1]:
            raise
        return unusable(backend, manifest, error, short=True, repeat=_SHORT_REPEAT)
    with console.progress().step(f"certifying {backend}"):
        return on_device.certify_backend(
            device, on_device.deployed(folder, manifest), manifest, reference, backend,
            repeat=_SHORT_REPEAT, short=True,
        )  # fmt: skip


def smoke(device: Device, folder: str, task: str = "text", backend: str | None = None) -> None:
    """A few tokens from the bundle in `folder` on the device, what it hears, a picture.

    `backend`: there and nowhere else. Raises what its runner reports.
    """
    verb, stdin = "generate", b""
    words = [_SMOKE_PROMPT, "--temperature", "0", "--max-tokens", str(_SMOKE_TOKENS)]
    if task == "audio":
        verb, stdin = "transcribe", wav_of(np.zeros(SAMPLE_RATE, dtype=np.float32))
        words = ["-", "--language", "en", "--no-fallback"]
    elif task == "image":
        verb, words = "imagine", [_SMOKE_PROMPT, "--width", "64", "--height", "64", "--steps", "1"]
        words += ["--output", "/dev/null"]
    if backend is not None:
        words += ["--backend", backend]
    argv = payload.runner(folder, verb, words)
    completed = device.run(argv, timeout_s=_SMOKE_TIMEOUT_S, stdin=stdin)
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
