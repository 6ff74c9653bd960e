"""`sphere-edge devices`, `rollback`, `device …`: what can be reached and what is deployed there."""

from __future__ import annotations

import dataclasses
import getpass
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sphere_edge import console, errors
from sphere_edge.devices import service
from sphere_edge.devices.gpus import Gpus, ask
from sphere_edge.devices.open import opened, parse_uri
from sphere_edge.devices.probe import Probe, probe
from sphere_edge.devices.sensors import Sensor
from sphere_edge.devices.store import Installed, Store

_NOT_TOLD = "not available"


def list_devices(uris: Sequence[str], *, gpu: bool, as_json: bool) -> None:
    """Without URIs all devices that can be named, with them what each is and has.

    `gpu`: what the drivers of their GPUs say, too, which takes our runner there.
    """
    if gpu and not uris:
        message = "--gpu needs the name of a device"
        raise errors.InvalidArgumentError(message, hint="as in `sphere-edge devices local --gpu`")
    if uris:
        _show_probes(uris, gpu=gpu, as_json=as_json)
        return
    found = [*_local(), *_adb(), *_ssh()]
    if as_json:
        console.write_json({"devices": found})
        return
    rows = [[one["uri"], one["state"], one["description"] or ""] for one in found]
    console.write_table(["DEVICE", "STATE", "DESCRIPTION"], rows)
    for one in found:
        if one["advice"]:
            console.say(f"{one['uri']} is {one['state']}: {one['advice']}")
    console.say("what one is and has: `sphere-edge devices local`")


def pair(address: str, code: str | None) -> None:
    """Pairs adb with a phone in the network; asks for the code where a person can type it."""
    from sphere_edge.devices import adb_host

    uri = parse_uri(f"adb:{address}")
    if code is None:
        if not console.is_interactive():
            message = "pairing needs the code that the phone shows"
            raise errors.InvalidArgumentError(message, hint="give it with --code")
        code = getpass.getpass(f"code that {address} shows: ")
    if not code.isdecimal():
        message = "a pairing code is digits only"
        raise errors.InvalidArgumentError(message, hint="the phone shows six")
    adb_host.pair(uri.serial or address, code)
    console.say("paired; now name it with its other port: `sphere-edge devices adb:HOST:PORT`")


def list_installed(uri: str, store: str | None, *, as_json: bool) -> None:
    """What is deployed on the device."""
    with opened(uri) as device:
        installed = Store(device, store).installed()
    if as_json:
        console.write_json({"device": uri, "bundles": [dataclasses.asdict(i) for i in installed]})
        return
    if not installed:
        console.say(f"nothing is deployed on {uri}")
        return
    console.write_table(
        ["NAME", "BUNDLE", "SIZE →", "PREVIOUS"],
        [
            [
                one.name,
                one.bundle[:12],
                console.human_bytes(one.bytes),
                one.previous[:12] if one.previous else "-",
            ]
            for one in installed
        ],
    )


def rollback(name: str, uri: str, store: str | None, *, as_json: bool) -> None:
    """Makes the bundle before the current one current again."""
    with opened(uri) as device:
        now = Store(device, store).rollback(name)
    _say_current(now, uri, as_json=as_json)


def remove(name: str, uri: str, store: str | None) -> None:
    """Forgets a name, its service too, and frees what only it used."""
    with opened(uri) as device:
        target = Store(device, store)
        target.find(name)
        if service.is_installed(device, name):
            service.remove(device, name)
        freed = target.remove(name)
    console.say(f"removed `{name}` from {uri}: {console.human_bytes(freed)} freed")


def show_service(name: str, uri: str, *, as_json: bool) -> None:
    """What systemd on the device says of the service of a deployed bundle."""
    with opened(uri) as device:
        found = service.status(device, name)
    if as_json:
        console.write_json({"device": uri, **dataclasses.asdict(found)})
        return
    console.say(found.summary)
    for line in found.said:
        console.write(line)


def remove_service(name: str, uri: str) -> None:
    """Stops the service of a deployed bundle and forgets it; the bundle stays."""
    with opened(uri) as device:
        service.remove(device, name)
    console.say(f"removed the service of `{name}` from {uri}")


def collect(uri: str, store: str | None) -> None:
    """Frees what neither a current nor a previous bundle uses."""
    with opened(uri) as device:
        freed = Store(device, store).gc()
    console.say(f"{console.human_bytes(freed)} freed on {uri}")


def _say_current(now: Installed, uri: str, *, as_json: bool) -> None:
    if as_json:
        console.write_json({"device": uri, **dataclasses.asdict(now)})
        return
    console.say(f"`{now.name}` on {uri} is now bundle {now.bundle[:12]}")
    console.write(now.bundle)


def _entry(uri: str, state: str, description: str | None, advice: str | None) -> dict[str, Any]:
    return {"uri": uri, "state": state, "description": description, "advice": advice}


def _local() -> list[dict[str, Any]]:
    return [_entry("local", "ready", "this machine", None)]


def _adb() -> list[dict[str, Any]]:
    try:
        # Importing it looks at the user's settings for adb.
        from sphere_edge.devices import adb_host

        states = adb_host.listed()
    except errors.SphereEdgeError as error:
        console.warn(error.message)
        return []
    return [
        _entry(f"adb:{one.serial}", "ready" if one.is_ready else one.state, one.model, one.advice)
        for one in states
    ]


def _ssh() -> list[dict[str, Any]]:
    from sphere_edge.devices import ssh_config

    hosts = ssh_config.named_hosts()
    return [_entry(f"ssh://{host}", "in ssh config", None, None) for host in hosts]


def _show_probes(uris: Sequence[str], *, gpu: bool, as_json: bool) -> None:
    probes: list[tuple[str, Probe, Gpus | None]] = []
    for uri in uris:
        with opened(uri) as device:
            there = probe(device)
            told = ask(device, there, store=None, progress=console.progress()) if gpu else None
            probes.append((uri, there, told))
    if as_json:
        found = [
            {
                "uri": uri,
                **dataclasses.asdict(one),
                **({"drivers": told.model_dump()} if told else {}),
            }
            for uri, one, told in probes
        ]
        console.write_json({"devices": found})
        return
    for uri, one, told in probes:
        console.write(uri)
        for name, text in (*_lines(one), *_driver_lines(told)):
            console.write(f"  {name:<18} {text}")


def _driver_lines(told: Gpus | None) -> list[tuple[str, str]]:
    """A line per GPU that answered, and per way on which none did."""
    if told is None:
        return []
    lines = [
        (
            f"{one.api} driver",
            f"{one.name}, {one.driver}, {one.platform}, {console.human_bytes(one.memory_bytes)}, "
            f"{'float16' if one.half_precision else 'no float16'}",
        )
        for one in told.gpus
    ]
    return lines + [(f"{one.api} driver", f"none: {one.reason}") for one in told.refusals]


def _lines(one: Probe) -> list[tuple[str, str]]:
    clusters = ", ".join(
        f"{c.cores} at {c.max_mhz} MHz" if c.max_mhz else f"{c.cores}" for c in one.clusters
    )
    return [
        ("model", one.model or _NOT_TOLD),
        ("system", " ".join(filter(None, (one.os_release or one.os, one.kernel, one.libc)))),
        ("SoC", one.soc or _NOT_TOLD),
        ("CPU", f"{one.cpu_model or _NOT_TOLD} ({one.architecture})"),
        ("cores", f"{one.cores or _NOT_TOLD}{f' ({clusters})' if clusters else ''}"),
        ("CPU features", " ".join(one.cpu_features) or "none of those we use"),
        ("memory", _bytes(one.memory_total_bytes)),
        ("available memory", _bytes(one.memory_available_bytes)),
        ("free storage", _bytes(one.storage_free_bytes)),
        ("page size", _bytes(one.page_bytes)),
        ("GPU", " ".join(filter(None, (one.gpu, one.gpu_driver))) or _NOT_TOLD),
        ("sensors", _sensors(one.sensors)),
    ]


def _bytes(count: int | None) -> str:
    return _NOT_TOLD if count is None else console.human_bytes(count)


def _sensors(sensors: Sequence[Sensor]) -> str:
    """How many of each kind; names are in the JSON."""
    kinds = Counter(sensor.kind.replace("_", " ") for sensor in sensors)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or _NOT_TOLD
