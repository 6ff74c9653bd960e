"""`sphere-edge devices`, `rollback`, `device …`: what can be reached and what is deployed there."""

from __future__ import annotations

import dataclasses
import getpass
from collections import Counter
from collections.abc import Sequence

from sphere_edge import console, errors
from sphere_edge.devices import service
from sphere_edge.devices.gpus import Gpus, ask
from sphere_edge.devices.known import known_devices
from sphere_edge.devices.open import opened, pair_phone
from sphere_edge.devices.probe import Probe, probe
from sphere_edge.devices.sensors import Sensor
from sphere_edge.devices.store import Installed, Store

_NOT_AVAILABLE = "not available"


def list_devices(uris: Sequence[str], *, gpu: bool, as_json: bool) -> None:
    """Without URIs all known devices, with URIs the details of each.

    `gpu`: also what their GPU drivers report, for which our runner is sent there.
    """
    if gpu and not uris:
        message = "--gpu needs the name of a device"
        raise errors.InvalidArgumentError(message, hint="as in `sphere-edge devices local --gpu`")
    if uris:
        _show_probes(uris, gpu=gpu, as_json=as_json)
        return
    found = known_devices(console.progress())
    if as_json:
        console.write_json({"devices": [dataclasses.asdict(one) for one in found]})
        return
    rows = [[one.uri, one.state, one.description or ""] for one in found]
    console.write_table(["DEVICE", "STATE", "DESCRIPTION"], rows)
    for one in found:
        if one.advice:
            console.say(f"{one.uri} is {one.state}: {one.advice}")
    console.say("details of one: `sphere-edge devices local`")


def pair(address: str, code: str | None) -> None:
    """Pairs adb with a phone on the network; asks for the code on a terminal."""
    if code is None:
        if not console.is_interactive():
            message = "pairing needs the code that the phone shows"
            raise errors.InvalidArgumentError(message, hint="give it with --code")
        code = getpass.getpass(f"code that {address} shows: ")
    pair_phone(address, code)
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
        there = Store(device, store)
        now = there.rollback(name)
        if service.is_installed(device, name):
            console.say(service.restart(device, there.root, name).summary)
    _say_current(now, uri, as_json=as_json)


def remove(name: str, uri: str, store: str | None) -> None:
    """Removes a deployed bundle and its service, and frees what only it used."""
    with opened(uri) as device:
        freed = service.remove_deployed(device, Store(device, store), name)
    console.say(f"removed `{name}` from {uri}: {console.human_bytes(freed)} freed")


def show_service(name: str, uri: str, store: str | None, *, as_json: bool) -> None:
    """The state of the service of a deployed bundle, from systemd on the device."""
    with opened(uri) as device:
        found = service.status(device, Store(device, store).root, name)
    if as_json:
        console.write_json({"device": uri, **dataclasses.asdict(found)})
        return
    console.say(found.summary)
    for line in found.output:
        console.write(line)


def remove_service(name: str, uri: str, store: str | None) -> None:
    """Stops and removes the service of a deployed bundle; the bundle stays."""
    with opened(uri) as device:
        service.remove(device, Store(device, store), name)
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


def _show_probes(uris: Sequence[str], *, gpu: bool, as_json: bool) -> None:
    probes: list[tuple[str, Probe, Gpus | None]] = []
    for uri in uris:
        with opened(uri) as device:
            probed = probe(device)
            gpus = ask(device, probed, store=None, progress=console.progress()) if gpu else None
            probes.append((uri, probed, gpus))
    if as_json:
        found = [
            {
                "uri": uri,
                **dataclasses.asdict(one),
                **({"drivers": gpus.model_dump()} if gpus else {}),
            }
            for uri, one, gpus in probes
        ]
        console.write_json({"devices": found})
        return
    for uri, one, gpus in probes:
        console.write(uri)
        for name, text in (*_lines(one), *_driver_lines(gpus)):
            console.write(f"  {name:<18} {text}")


def _driver_lines(found: Gpus | None) -> list[tuple[str, str]]:
    """A line per GPU that answered, and per API through which none did."""
    if found is None:
        return []
    lines = [
        (
            f"{one.api} driver",
            f"{one.name}, {one.driver}, {one.platform}, {console.human_bytes(one.memory_bytes)}, "
            f"{'float16' if one.half_precision else 'no float16'}",
        )
        for one in found.gpus
    ]
    return lines + [(f"{one.api} driver", f"none: {one.reason}") for one in found.refusals]


def _lines(one: Probe) -> list[tuple[str, str]]:
    clusters = ", ".join(
        f"{c.cores} at {c.max_mhz} MHz" if c.max_mhz else f"{c.cores}" for c in one.clusters
    )
    return [
        ("model", one.model or _NOT_AVAILABLE),
        ("system", " ".join(filter(None, (one.os_release or one.os, one.kernel, one.libc)))),
        ("SoC", one.soc or _NOT_AVAILABLE),
        ("CPU", f"{one.cpu_model or _NOT_AVAILABLE} ({one.architecture})"),
        ("cores", f"{one.cores or _NOT_AVAILABLE}{f' ({clusters})' if clusters else ''}"),
        ("CPU features", " ".join(one.cpu_features) or "none of those we use"),
        ("memory", _bytes(one.memory_total_bytes)),
        ("available memory", _bytes(one.memory_available_bytes)),
        ("free storage", _bytes(one.storage_free_bytes)),
        ("page size", _bytes(one.page_bytes)),
        ("GPU", " ".join(filter(None, (one.gpu, one.gpu_driver))) or _NOT_AVAILABLE),
        ("sensors", _sensors(one.sensors)),
    ]


def _bytes(count: int | None) -> str:
    return _NOT_AVAILABLE if count is None else console.human_bytes(count)


def _sensors(sensors: Sequence[Sensor]) -> str:
    """How many of each kind; names are in the JSON."""
    kinds = Counter(sensor.kind.replace("_", " ") for sensor in sensors)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or _NOT_AVAILABLE
