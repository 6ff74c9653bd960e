"""The transaction on every transport: what arrives, what is sent; failures change nothing."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from transports import Transport

from sphere_edge import errors
from sphere_edge.devices import adb_wire, lock, openssh, shell_device, ssh
from sphere_edge.devices.adb import AdbDevice
from sphere_edge.devices.device import PART_BYTES
from sphere_edge.devices.items import Item, bundle_id
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.lock import Lock
from sphere_edge.devices.store import Store
from sphere_edge.simulate.adb_daemon import AdbDaemon

MakeItem = Callable[..., Item]


@pytest.fixture
def store(transport: Transport) -> Store:
    return Store(transport.device(), str(transport.root))


def bundle(make_item: MakeItem, version: int, *, weights: int = 300_000) -> list[Item]:
    return [
        make_item("bundle/bundle.json", b'{"version": %d}' % version),
        make_item("bundle/weights/model.safetensors", weights),
        make_item("runtime/run", b"#!/bin/sh\necho hello\n", is_program=True),
    ]


def contents(folder: str) -> dict[str, str]:
    """Path and sha256 of what really lies in a bundle's folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name != "files.sha256"
    }


def is_whole(store: Store, items: list[Item]) -> bool:
    return contents(store.folder("demo")) == {item.path: item.sha256 for item in items}


def test_a_bundle_arrives_whole_and_is_tried_before_it_is_used(
    store: Store, make_item: MakeItem
) -> None:
    items = bundle(make_item, 1)
    tried: list[str] = []

    def smoke(folder: str) -> None:
        assert store.installed() == []
        tried.append(store.device.run([f"{folder}/runtime/run"]).stdout)

    deployed = store.deploy("demo", items, smoke=smoke)
    assert tried == ["hello\n"]
    assert deployed.sent_bytes == deployed.total_bytes == sum(item.bytes for item in items)
    assert is_whole(store, items)
    listed = subprocess.run(
        ["sha256sum", "--quiet", "-c", "files.sha256"], cwd=deployed.folder, check=False
    )
    assert listed.returncode == 0


def test_what_is_there_is_not_sent_again(store: Store, make_item: MakeItem) -> None:
    store.deploy("demo", bundle(make_item, 1))
    assert store.deploy("demo", bundle(make_item, 1)).sent_bytes == 0
    second = bundle(make_item, 2)
    assert store.deploy("demo", second).sent_bytes == second[0].bytes
    assert is_whole(store, second)


def test_one_changed_tensor_sends_its_shard_only(store: Store, make_item: MakeItem) -> None:
    def sharded(last: int) -> list[Item]:
        shards = [make_item(f"bundle/weights/{number}.safetensors", 9000) for number in range(3)]
        return [*shards, make_item("bundle/weights/3.safetensors", last)]

    store.deploy("demo", sharded(7000))
    assert store.plan(sharded(7001)).missing == (sharded(7001)[-1],)
    assert store.deploy("demo", sharded(7001)).sent_bytes == 7001


def test_a_plan_changes_nothing(store: Store, transport: Transport, make_item: MakeItem) -> None:
    items = bundle(make_item, 1)
    plan = store.plan(items, measure=True)
    assert plan.send_bytes == plan.total_bytes == sum(item.bytes for item in items)
    assert plan.seconds is not None
    assert plan.seconds > 0
    assert not transport.root.exists()


def test_a_bundle_that_fails_its_trial_is_not_used(store: Store, make_item: MakeItem) -> None:
    first = bundle(make_item, 1)
    store.deploy("demo", first)

    def smoke(folder: str) -> None:
        message = "the runner was killed"
        raise errors.LoadFailedError(message)

    with pytest.raises(errors.LoadFailedError, match="killed"):
        store.deploy("demo", bundle(make_item, 2), smoke=smoke)
    assert is_whole(store, first)
    assert store.installed()[0].previous is None
    store.deploy("demo", bundle(make_item, 2))


def test_rollback_goes_back_and_forth(store: Store, make_item: MakeItem) -> None:
    first, second = bundle(make_item, 1), bundle(make_item, 2)
    store.deploy("demo", first)
    with pytest.raises(errors.NotFoundError, match="no bundle before"):
        store.rollback("demo")
    store.deploy("demo", second)
    assert store.rollback("demo").bundle == bundle_id(first)
    assert is_whole(store, first)
    assert store.rollback("demo").bundle == bundle_id(second)
    with pytest.raises(errors.NotFoundError, match="other"):
        store.rollback("other")


def test_only_what_nothing_needs_is_collected(store: Store, make_item: MakeItem) -> None:
    versions = [bundle(make_item, version, weights=1000 + version) for version in range(3)]
    for items in versions:
        store.deploy("demo", items)
    freed = store.gc()
    assert freed == sum(item.bytes for item in versions[0][:2])
    assert store.gc() == 0
    assert is_whole(store, versions[2])
    store.rollback("demo")
    assert is_whole(store, versions[1])


def test_removing_the_last_name_frees_everything(
    store: Store, transport: Transport, make_item: MakeItem
) -> None:
    shared = make_item("bundle/weights/model.safetensors", 5000)
    store.deploy("demo", [make_item("bundle/bundle.json", b"1"), shared])
    store.deploy("other", [make_item("bundle/bundle.json", b"2"), shared])
    assert store.remove("demo") == 1
    assert [one.name for one in store.installed()] == ["other"]
    assert contents(store.folder("other"))[shared.path] == shared.sha256
    assert store.remove("other") == 5001
    assert not list((transport.root / "blobs").iterdir())
    with pytest.raises(errors.NotFoundError, match="demo"):
        store.remove("demo")


def test_a_byte_that_flipped_on_the_device_is_found_and_mended(
    store: Store, transport: Transport, make_item: MakeItem
) -> None:
    items, others = bundle(make_item, 1), bundle(make_item, 2)
    store.deploy("other", others)
    store.deploy("demo", items)
    blob = transport.root / "blobs" / items[1].sha256
    blob.chmod(0o600)
    content = bytearray(blob.read_bytes())
    content[1000] ^= 1
    blob.write_bytes(content)
    assert store.deploy("demo", items).sent_bytes == items[1].bytes
    assert is_whole(store, items)
    assert contents(store.folder("other"))[items[1].path] == items[1].sha256


def test_a_push_that_was_cut_off_goes_on_at_the_last_whole_part(
    store: Store, transport: Transport, make_item: MakeItem
) -> None:
    items = bundle(make_item, 1, weights=2 * PART_BYTES + 1000)
    incoming = transport.root / "incoming"
    incoming.mkdir(parents=True)
    source = items[1].source.read_bytes()
    (incoming / items[1].sha256).write_bytes(source[: PART_BYTES + 77_777])
    deployed = store.deploy("demo", items)
    assert deployed.sent_bytes == deployed.total_bytes - PART_BYTES
    assert is_whole(store, items)


def test_what_arrived_damaged_is_sent_again(
    store: Store, transport: Transport, make_item: MakeItem
) -> None:
    items = bundle(make_item, 1)
    incoming = transport.root / "incoming"
    incoming.mkdir(parents=True)
    (incoming / items[1].sha256).write_bytes(b"\0" * items[1].bytes)
    store.deploy("demo", items)
    assert is_whole(store, items)


def test_two_deploys_at_once_do_not_meet(
    store: Store, transport: Transport, make_item: MakeItem
) -> None:
    store.deploy("demo", bundle(make_item, 0))
    other = Lock(transport.device(), str(transport.root))
    with pytest.raises(errors.UnavailableError, match="another deploy .* is under way, by "):
        store.deploy("demo", bundle(make_item, 1))
    with pytest.raises(errors.UnavailableError, match="another deploy"):
        store.gc()
    other.close()
    store.deploy("demo", bundle(make_item, 1))
    assert not (transport.root / "lock").is_symlink()


@pytest.mark.parametrize("died", ["process is gone", "device restarted", "process number reused"])
def test_the_lock_of_a_dead_deploy_is_taken_over(
    store: Store, transport: Transport, make_item: MakeItem, died: str
) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    holder = {
        "process is gone": f"elsewhere-1-ab:999999999:5:{boot}",
        "device restarted": "elsewhere-1-ab:1:5:another-boot",
        "process number reused": f"elsewhere-1-ab:1:1234567:{boot}",
    }[died]
    transport.root.mkdir(parents=True)
    (transport.root / "lock").symlink_to(f"{holder}:someone@elsewhere")
    store.deploy("demo", bundle(make_item, 1))
    assert not (transport.root / "lock").is_symlink()


def test_a_deploy_of_another_machine_of_the_same_name_is_not_taken_for_dead(
    store: Store, transport: Transport, make_item: MakeItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.deploy("demo", bundle(make_item, 1))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(lock, "_machine", lambda: "0123456789abcdef")
        # A number that no process has here.
        elsewhere.setattr(os, "getpid", lambda: 999_999_999)
        theirs = lock.Lock(store.device, store.root)
    try:
        with pytest.raises(errors.UnavailableError, match="another deploy"):
            store.gc()
    finally:
        theirs.close()


def test_a_lock_of_a_process_that_no_system_can_have_stays(
    store: Store, transport: Transport, make_item: MakeItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.deploy("demo", bundle(make_item, 1))
    with monkeypatch.context() as odd:
        odd.setattr(os, "getpid", lambda: 10**17)
        theirs = lock.Lock(store.device, store.root)
    try:
        with pytest.raises(errors.UnavailableError, match="another deploy"):
            store.gc()
    finally:
        theirs.close()


def test_what_is_staged_stays_until_its_block_ends(
    store: Store, transport: Transport, make_item: MakeItem
) -> None:
    items = bundle(make_item, 1)
    second = Store(transport.device(), str(transport.root))
    with store.staged(items) as folder:
        with pytest.raises(errors.UnavailableError, match="another deploy"), second.staged(items):
            pytest.fail("two at once")
        assert all((Path(folder) / item.path).is_file() for item in items)
    assert not list((transport.root / "bundles").iterdir())
    with second.staged(items) as folder:
        assert all((Path(folder) / item.path).is_file() for item in items)


def test_a_deploy_whose_lock_was_taken_over_does_not_switch(
    store: Store, transport: Transport, make_item: MakeItem
) -> None:
    first = bundle(make_item, 1)
    store.deploy("demo", first)

    def smoke(folder: str) -> None:
        (transport.root / "lock").unlink()
        (transport.root / "lock").symlink_to("thief-1-ab:1:1:x:thief")

    with pytest.raises(errors.UnavailableError, match="taken over by another deploy"):
        store.deploy("demo", bundle(make_item, 2), smoke=smoke)
    assert is_whole(store, first)


def test_a_clock_that_jumps_changes_nothing(
    store: Store, transport: Transport, make_item: MakeItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bundle(make_item, 1), bundle(make_item, 2)
    store.deploy("demo", first)
    # The device's clock was reset: what is there comes from the future, or from 1980.
    for number, path in enumerate(path for path in transport.root.rglob("*") if path.is_file()):
        os.utime(path, (4e9, 4e9) if number % 2 else (3e8, 3e8))
    assert store.deploy("demo", first).sent_bytes == 0
    # And the clock here goes forth and back while it works. paramiko counts its timeouts by it.
    jumps = itertools.cycle([0.0, 4e9, 1.0, 2e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    try:
        store.deploy("demo", second)
    except (errors.UnavailableError, errors.TimeoutError):
        assert transport.name == "paramiko"
    monkeypatch.undo()
    store.device.reconnect()
    assert is_whole(store, first) or is_whole(store, second)
    store.deploy("demo", second)
    assert is_whole(store, second)
    assert store.rollback("demo").bundle == bundle_id(first)
    assert store.gc() == 0
    assert is_whole(store, first)


def test_a_pointer_that_is_rubbish_counts_as_none(
    store: Store, transport: Transport, make_item: MakeItem
) -> None:
    store.deploy("demo", bundle(make_item, 1))
    (transport.root / "current" / "demo").write_text("../../etc/passwd\n$(reboot)\n")
    assert store.installed() == []
    store.deploy("demo", bundle(make_item, 1))
    assert is_whole(store, bundle(make_item, 1))


def test_a_lost_list_stops_gc_before_anything_is_deleted(
    store: Store, transport: Transport, make_item: MakeItem
) -> None:
    items = bundle(make_item, 1)
    deployed = store.deploy("demo", items)
    (Path(deployed.folder) / "files.sha256").unlink()
    with pytest.raises(errors.StorageError, match="lost its list"):
        store.gc()
    assert is_whole(store, items)
    store.deploy("demo", items)
    store.gc()
    assert is_whole(store, items)
    # As a power cut leaves a file that nobody has synced.
    (Path(deployed.folder) / "files.sha256").write_bytes(b"")
    store.deploy("demo", items)
    store.gc()
    assert is_whole(store, items)


@pytest.mark.parametrize(
    "path", ["../out", "/etc/x", "a/../../b", "a//b", ".", "a b", "a\nb", "", "a/.", "$(id)"]
)
def test_a_path_that_leaves_the_bundle_is_refused(path: str, make_item: MakeItem) -> None:
    with pytest.raises(errors.InvalidArgumentError):
        Store(LocalDevice(), "/nonexistent").deploy("demo", [make_item(path, b"x")])


def test_a_file_that_is_also_a_folder_is_refused(make_item: MakeItem) -> None:
    items = [make_item("a", b"x"), make_item("a/b", b"y")]
    with pytest.raises(errors.InvalidArgumentError, match="both a file and a folder"):
        Store(LocalDevice(), "/nonexistent").deploy("demo", items)


def test_a_push_goes_on_by_itself_after_cuts(
    cuttable_transport: Transport, make_item: MakeItem
) -> None:
    store = Store(
        cuttable_transport.device(), str(cuttable_transport.root), patience_s=(0.1, 0.5, 2, 4)
    )
    items = bundle(make_item, 1, weights=3 * PART_BYTES + 1000)
    assert cuttable_transport.link is not None
    # An sshd drops what it has not yet handed on, up to the 2 MiB window.
    cuttable_transport.link.cut_after(PART_BYTES + 6_000_000, times=2)
    deployed = store.deploy("demo", items)
    # Each cut costs at most one part, which the adb server may hold whole when the link breaks.
    assert deployed.total_bytes < deployed.sent_bytes <= deployed.total_bytes + 2 * PART_BYTES
    assert is_whole(store, items)


def test_a_push_goes_on_after_a_link_that_was_dead_without_a_word(
    cuttable_transport: Transport, make_item: MakeItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (adb_wire, openssh, shell_device, ssh):
        monkeypatch.setattr(module, "STALL_S", 1.0)
    store = Store(
        cuttable_transport.device(), str(cuttable_transport.root), patience_s=(0.1, 1, 2, 4, 8)
    )
    items = bundle(make_item, 1, weights=3 * PART_BYTES)
    link = cuttable_transport.link
    assert link is not None
    link.cut_after(PART_BYTES)
    # Instead of a cut: nothing moves for a while, and nobody is told.
    monkeypatch.setattr(link, "cut", link.stall)
    again = threading.Timer(4, link.flow)
    link.on_cut = again.start
    store.deploy("demo", items)
    again.join()
    monkeypatch.undo()
    assert is_whole(store, items)


def test_a_device_that_stays_away_leaves_the_old_bundle_and_the_next_deploy_goes_on(
    cuttable_transport: Transport, make_item: MakeItem
) -> None:
    store = Store(cuttable_transport.device(), str(cuttable_transport.root), patience_s=(0, 0.1))
    first, second = bundle(make_item, 1), bundle(make_item, 2, weights=2 * PART_BYTES)
    store.deploy("demo", first)
    link = cuttable_transport.link
    assert link is not None
    # An sshd drops what it has not yet handed on, up to the 2 MiB window.
    link.cut_after(PART_BYTES + 6_000_000)
    link.on_cut = link.take_down
    with pytest.raises(errors.UnavailableError) as caught:
        store.deploy("demo", second)
    assert caught.value.hint is not None
    assert "goes on where it stopped" in caught.value.hint
    link.bring_up()
    store.device.reconnect()
    assert is_whole(store, first)
    again = store.deploy("demo", second)
    assert again.sent_bytes <= second[1].bytes - PART_BYTES + second[0].bytes
    assert is_whole(store, second)


def test_bytes_that_flip_on_the_way_are_never_used(
    adb_server: int, tmp_path: Path, make_item: MakeItem
) -> None:
    daemon = AdbDaemon()
    daemon.start()
    store = Store(AdbDevice(f"127.0.0.1:{daemon.port}"), str(tmp_path / "store"))
    first = bundle(make_item, 1)
    store.deploy("demo", first)
    daemon.flips_bytes = True
    with pytest.raises(errors.StorageError, match="damaged"):
        store.deploy("demo", bundle(make_item, 2))
    assert is_whole(store, first)
    daemon.stop()
