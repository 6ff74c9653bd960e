"""Full, read-only and noexec file systems, and deploys that are killed, on real ones of each."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from transports import Transport, open_transport

from benchmarks import kill_push
from sphere_edge import errors
from sphere_edge.devices.device import PART_BYTES
from sphere_edge.devices.items import Item, bundle_id
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.store import Store

MakeItem = Callable[..., Item]

# benchmarks/kill_push.py makes 200 on each transport.
KILLS = 4


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small tmpfs with the given options."""
    mounted: list[Path] = []

    def make(options: str) -> Path:
        folder = tmp_path / "mounted"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True
        )
        if done.returncode != 0:
            pytest.skip("mounting a tmpfs needs root")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_what_does_not_fit_is_refused_before_a_byte_is_sent(
    mount: Callable[[str], Path], make_item: MakeItem
) -> None:
    root = mount("size=40m") / "store"
    with pytest.raises(errors.StorageError, match="not enough space") as caught:
        Store(LocalDevice(), str(root)).deploy("demo", [make_item("a", 20 << 20)])
    assert "device gc" in (caught.value.hint or "")
    assert not list((root / "incoming").glob("[0-9a-f]*"))


def test_a_device_that_fills_up_on_the_way_keeps_the_old_bundle(
    mount: Callable[[str], Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_item: MakeItem,
) -> None:
    folder = mount("size=80m")
    for name in ("local", "ssh", "adb"):
        transports = open_transport(request, name, tmp_path / name, monkeypatch)
        (tmp_path / name).mkdir()
        transport: Transport = next(transports)
        store = Store(transport.device(), str(folder / name))
        store.deploy("demo", [make_item("a", b"first")])
        # Room for what the plan asks, but taken by another program after it was asked for.
        large = [make_item("a", 33 << 20), make_item("b", 10)]
        store.require_room(store.plan(large))
        free = os.statvfs(folder)
        with (folder / "taken").open("wb") as file:
            file.write(bytes(free.f_bavail * free.f_frsize - (30 << 20)))
        with pytest.raises(errors.StorageError, match="is full"):
            # Past the check, which another program's file makes out of date.
            store.device.push(large[0].source, f"{folder}/{name}/incoming/{large[0].sha256}")
        (folder / "taken").unlink()
        assert store.installed()[0].bundle == bundle_id([make_item("a", b"first")])
        store.gc()
        for rest in transports:
            pytest.fail(str(rest))


def test_a_read_only_place_says_so(mount: Callable[[str], Path], make_item: MakeItem) -> None:
    folder = mount("size=1m,ro")
    with pytest.raises(errors.StorageError, match="read-only") as caught:
        Store(LocalDevice(), f"{folder}/store").deploy("demo", [make_item("a", b"x")])
    assert "--store" in (caught.value.hint or "")


def test_a_place_where_no_program_starts_says_so_before_anything_is_sent(
    mount: Callable[[str], Path], make_item: MakeItem
) -> None:
    root = mount("size=80m,noexec") / "store"
    program = make_item("run", b"#!/bin/sh\n", is_program=True)
    with pytest.raises(errors.StorageError, match="programs cannot be started") as caught:
        Store(LocalDevice(), str(root)).deploy("demo", [program])
    assert "noexec" in (caught.value.hint or "")
    assert not list((root / "blobs").iterdir())


@pytest.mark.parametrize("name", ["local", "ssh", "adb"])
def test_pushes_killed_at_any_moment_leave_the_old_or_the_new_bundle_and_go_on(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # What these change is put back at the end.
    for variable in ("ANDROID_ADB_SERVER_PORT", "ADB_MDNS", "SPHERE_EDGE_SSH_CONFIG"):
        monkeypatch.setenv(variable, "0")
        monkeypatch.delenv(variable)
    try:
        with kill_push.TRANSPORTS[name](tmp_path) as transport:
            found = kill_push.torment(transport, tmp_path / name, KILLS, random.Random(name))
    except errors.NotFoundError as error:
        pytest.skip(error.message)
    assert not found.failures, capfd.readouterr().err
    assert found.kills == KILLS
    # Part of what one kill may cost: the last part of the large file, and what a device forgot.
    assert found.resent_bytes_per_kill < 2 * PART_BYTES
