"""Full, read-only and noexec file systems, and deploys that are killed, on real ones of each."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from roads import Road, open_road

from sphere_edge import errors
from sphere_edge.devices.items import Item, bundle_id
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.store import Store

MakeItem = Callable[..., Item]

_DEPLOY = """
import pathlib, sys
from sphere_edge.devices.items import Item
from sphere_edge.devices.open import open_device
from sphere_edge.devices.store import Store
uri, root, *words = sys.argv[1:]
items = []
while words:
    path, source, size, digest, *words = words
    items.append(Item(path, pathlib.Path(source), int(size), digest))
Store(open_device(uri), root).deploy("demo", items)
"""


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
        roads = open_road(request, name, tmp_path / name, monkeypatch)
        (tmp_path / name).mkdir()
        road: Road = next(roads)
        store = Store(road.device(), str(folder / name))
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
        for rest in roads:
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
def test_a_deploy_killed_at_any_moment_leaves_the_old_or_the_new_bundle_and_goes_on(
    name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_item: MakeItem,
) -> None:
    roads = open_road(request, name, tmp_path, monkeypatch)
    road = next(roads)
    device = road.device()
    store = Store(device, str(road.root))
    before = [make_item("bundle/a", b"first")]
    store.deploy("demo", before)
    items = [make_item("bundle/a", b"second"), make_item("bundle/weights", 40 << 20)]
    words = [
        word
        for item in items
        for word in (item.path, str(item.source), str(item.bytes), item.sha256)
    ]
    script = [sys.executable, "-c", _DEPLOY, device.uri, str(road.root), *words]
    chance = random.Random(name)
    for _ in range(6):
        with subprocess.Popen(script, stderr=subprocess.DEVNULL) as deploying:
            time.sleep(chance.uniform(0.3, 2.5))
            deploying.send_signal(signal.SIGKILL)
        now = store.installed()[0]
        assert now.bundle in (bundle_id(before), bundle_id(items))
        for path in Path(store.folder("demo")).rglob("*"):
            assert path.exists()
    store.deploy("demo", items)
    assert (Path(store.folder("demo")) / "bundle/weights").read_bytes() == items[
        1
    ].source.read_bytes()
    for rest in roads:
        pytest.fail(str(rest))
