"""`sphere-edge deploy`: puts a bundle and the runtime on a device and proves that it runs there."""

from __future__ import annotations

import getpass
import hashlib
import json
from pathlib import Path
from typing import Any

from sphere_edge import console, errors
from sphere_edge.bundle.read import MANIFEST, Bundle
from sphere_edge.devices import suitability
from sphere_edge.devices.device import Device
from sphere_edge.devices.items import Item
from sphere_edge.devices.open import open_device
from sphere_edge.devices.probe import Probe, probe
from sphere_edge.devices.store import Plan, Store

_SMOKE_PROMPT = "Hello"
_SMOKE_TOKENS = 4
_SMOKE_TIMEOUT_S = 600.0


def deploy(bundle: Path, uri: str, store: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Probe, fit, push, hash, link, smoke generation, switch. Raises what each of these raises."""
    found = Bundle.open(bundle)
    ask = (lambda what: getpass.getpass(f"{what}: ")) if console.is_interactive() else None
    device = open_device(uri, ask=ask)
    try:
        there = probe(device, folder=store)
        suitability.check(found.manifest, there, device.uri)
        items = [*bundle_items(found), *runtime_items(there, device)]
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
    finally:
        device.close()
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


def bundle_items(bundle: Bundle) -> list[Item]:
    """The bundle's own files, below `bundle/` on the device."""
    manifest = bundle.folder / MANIFEST
    return [
        _item(f"bundle/{MANIFEST}", manifest),
        *(
            Item(f"bundle/{file.path}", bundle.folder / file.path, file.bytes, file.sha256)
            for file in bundle.manifest.files
        ),
    ]


def runtime_items(there: Probe, device: Device) -> list[Item]:
    """The native runtime that suits the device, below `runtime/` there; built if need be.

    Raises UnsupportedError when there is none for it.
    """
    from sphere_edge.toolchain import native, targets

    if device.uri == "local":
        target = targets.host()
    elif (there.os, there.architecture, there.libc) == ("linux", "x86_64", "gnu"):
        fitting = (
            target
            for target in targets.NAMED.values()
            if target.name.startswith("linux-x86-64")
            and set(target.features) <= set(there.cpu_features)
        )
        target = max(fitting, key=lambda target: len(target.features))
    else:
        system = " ".join(filter(None, (there.architecture, there.os, there.libc)))
        message = f"there is no runtime for {device.uri} ({system}) yet"
        raise errors.UnsupportedError(message, hint="Linux on x86-64 is what deploy supports now")
    build = native.build(target, console.progress())
    return [
        _item(f"runtime/{path.relative_to(build.folder).as_posix()}", path, is_program=True)
        for part in ("bin", "lib")
        for path in sorted((build.folder / part).rglob("*"))
        if path.is_file()
    ]


def smoke(device: Device, folder: str) -> None:
    """A few tokens from the bundle in `folder` on the device. Raises what its runner reports."""
    argv = [
        *("env", f"LD_LIBRARY_PATH={folder}/runtime/lib", f"{folder}/runtime/bin/sphere-edge-run"),
        *("generate", f"{folder}/bundle", _SMOKE_PROMPT, "--temperature", "0"),
        *("--max-tokens", str(_SMOKE_TOKENS), "--json"),
    ]
    completed = device.run(argv, timeout_s=_SMOKE_TIMEOUT_S)
    if completed.exit_code == 0:
        return
    told = _reported(completed.stdout)
    if told is not None:
        raise errors.from_status(told[0], f"on {device.uri}: {told[1]}", told[2])
    ending = (
        f"was ended by signal {-completed.exit_code}"
        if completed.exit_code < 0
        else f"failed with exit code {completed.exit_code}"
    )
    said = f":\n{completed.last_lines}" if completed.last_lines else ""
    message = f"the runner {ending} on {device.uri}{said}"
    hint = "the bundle that was in use there still is"
    raise errors.LoadFailedError(message, hint=hint)


def _reported(stdout: str) -> tuple[int, str, str | None] | None:
    """Code, message and hint of the error that the runner put into its JSON, if it did."""
    try:
        error: Any = json.loads(stdout)["error"]
        code, message, hint = error["code"], error["message"], error.get("hint")
        if errors.Status(code) is errors.Status.OK or not isinstance(message, str):
            return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return code, message[:1000], hint[:1000] if isinstance(hint, str) else None


def _item(path: str, source: Path, *, is_program: bool = False) -> Item:
    with source.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return Item(path, source, source.stat().st_size, digest.hexdigest(), is_program)


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
