"""Names of devices, files of bundles on devices, and what a store's answers are read as."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.devices import inventory
from sphere_edge.devices.device import exit_code_of_shell, remote_line, storage_error
from sphere_edge.devices.items import Item, bundle_id, check, listing
from sphere_edge.devices.open import KINDS, DeviceUri, parse_uri

BLOB = "ab" * 32


@pytest.mark.parametrize(
    ("uri", "parsed"),
    [
        ("local", DeviceUri("local")),
        ("adb", DeviceUri("adb")),
        ("adb:39A1", DeviceUri("adb", serial="39A1")),
        ("adb:192.168.1.7:5555", DeviceUri("adb", serial="192.168.1.7:5555")),
        # mDNS numbers phones of the same name.
        ("adb:adb-2A-x (2)._adb._tcp", DeviceUri("adb", serial="adb-2A-x (2)._adb._tcp")),
        ("ssh://orin", DeviceUri("ssh", host="orin")),
        ("ssh://me%40corp.example@board", DeviceUri("ssh", user="me@corp.example", host="board")),
        ("ssh://me@corp.example@board", DeviceUri("ssh", user="me@corp.example", host="board")),
        ("ssh://CORP%5Cme@board", DeviceUri("ssh", user="CORP\\me", host="board")),
        ("ssh://nvidia@Orin.lan:2222", DeviceUri("ssh", user="nvidia", host="Orin.lan", port=2222)),
        ("ssh://me@[fe80::1%eth0]:22/", DeviceUri("ssh", user="me", host="fe80::1%eth0", port=22)),
    ],
)
def test_a_device_is_named_by_its_uri(uri: str, parsed: DeviceUri) -> None:
    assert parse_uri(uri) == parsed
    assert parsed.kind in KINDS
    assert parse_uri(parsed.text) == parsed


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "",
            "usb:1",
            "adb:",
            "adb:-s",
            "adb: a",
            "adb:a\nb",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://a b",
        ),
        *("ssh://host:99999", "ssh://host/path", "ssh://-x@host", "ssh://host?x", "http://host"),
        *("ssh://ho\nst", "local/", "LOCAL", "ssh://a;b@c", "ssh://%2dx@c", "ssh://a%0ab@c"),
    ],
)
def test_what_names_no_device_is_refused_with_the_forms(uri: str) -> None:
    with pytest.raises(errors.InvalidArgumentError) as caught:
        parse_uri(uri)
    assert caught.value.hint is not None
    assert "adb:SERIAL" in caught.value.hint


def test_a_password_in_a_uri_is_refused() -> None:
    with pytest.raises(errors.InvalidArgumentError, match="password") as caught:
        parse_uri("ssh://me:hunter2@host")
    assert "hunter2" not in caught.value.message


def test_a_remote_line_is_quoted_once() -> None:
    line = remote_line(["echo", "a b", "$HOME"])
    assert line == """sh -c '"$@"; exit $?' sh echo 'a b' '$HOME'"""


def test_death_by_signal_is_negative_as_for_local_programs() -> None:
    assert [exit_code_of_shell(code) for code in (0, 1, 128, 137, 255)] == [0, 1, 128, -9, 255]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("dd: error writing 'x': No space left on device", "is full"),
        ("Read-only file system", "read-only"),
        ("mkdir: Permission denied", "not allowed"),
        ("strange", "strange"),
    ],
)
def test_a_failed_write_says_what_it_means(reason: str, told: str) -> None:
    assert told in storage_error("local", "/x", reason).message


def item(path: str) -> Item:
    return Item(path, Path("x"), 1, BLOB)


def test_the_same_files_give_the_same_id_in_any_order() -> None:
    items = [item("b/c"), item("a")]
    assert bundle_id(items) == bundle_id(items[::-1])
    assert listing(items) == f"{BLOB}  a\n{BLOB}  b/c\n".encode()
    assert bundle_id(items) != bundle_id([item("a"), item("b/d")])


@pytest.mark.parametrize(
    "path", ["../a", "/a", "a/../b", "a//b", ".", "..", "a/.", "a b", "a\nb", "", "a\\b", "$(id)"]
)
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    with pytest.raises(errors.InvalidArgumentError):
        check([item(path)])


def test_plain_paths_are_taken() -> None:
    check([item("bundle/weights/model-00001.safetensors"), item("..a/b..c"), item(".hidden")])


def test_an_inventory_is_read_without_what_is_odd_in_it() -> None:
    told = inventory.parse(
        "banner of a shell\n== df\nFilesystem 1024-blocks Used Available Capacity Mounted on\n"
        "/dev/a-long-name\n  100 40 60 40% /data\n== blobs\ntotal 8\n"
        f"-r--r--r-- 1 2000 2000 1234 2024-01-01 10:00 {BLOB}\n"
        "-r--r--r-- 1 2000 2000 99999999999999999999999 2024-01-01 10:00 " + "cd" * 32 + "\n"
        f"lrwxrwxrwx 1 0 0 5 2024-01-01 10:00 {'ef' * 32}\n-r--r--r-- 1 0 0 7 Jan 1 10:00 evil\n"
        f"== incoming\n== bundles\ndrwx 2 0 0 4096 Jan 1 10:00 {BLOB}\n== current\n"
        f"demo {BLOB} {'cd' * 32} \nother {BLOB}\nbad ../../etc\n../up {BLOB}\n\n"
    )
    assert told.free_bytes == 60 * 1024
    assert told.blobs == {BLOB: 1234}
    assert told.bundles == (BLOB,)
    assert told.current == {"demo": (BLOB, "cd" * 32), "other": (BLOB, None)}


@pytest.mark.parametrize(
    "noise", ["", "\0\xff", "== \n== df\n%\n", "== current\n\n \n", "== df\nx\n"]
)
def test_noise_is_an_empty_inventory(noise: str) -> None:
    assert inventory.parse(noise) == inventory.Inventory(None, {}, {}, (), {})
