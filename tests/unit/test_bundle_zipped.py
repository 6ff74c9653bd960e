"""A bundle as one file is read as suspiciously as a folder."""

from __future__ import annotations

import os
import random
import shutil
import stat
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from sphere_edge.bundle.read import Bundle, is_bundle, read_manifest
from sphere_edge.bundle.verify import verify
from sphere_edge.errors import (
    ModelCorruptError,
    NotFoundError,
    SphereEdgeError,
    StorageError,
)
from tests.golden_bundle import FILES, GOLDEN, make


def test_a_zipped_bundle_is_proven_and_opened_like_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    made = make(tmp_path / "a.sphere")
    assert verify(tmp_path / "a.sphere").manifest == made.manifest == make(tmp_path / "a").manifest
    opened = Bundle.open(tmp_path / "a.sphere")
    for name, content in FILES.items():
        assert (opened.folder / name).read_bytes() == content
    assert [path.name for path in tmp_path.iterdir() if path.name[0] == "."] == []


def test_a_zip_is_on_the_disk_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    sync, synced = os.fsync, []
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file)), sync(file)))
    make(tmp_path / "a.sphere")
    there = (tmp_path / "a.sphere").stat()
    assert (there.st_ino, there.st_size) in [(one.st_ino, one.st_size) for one in synced]


def test_a_zip_is_the_same_bytes_every_time_and_not_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    make(tmp_path / "a.sphere")
    make(tmp_path / "b.sphere")
    assert (tmp_path / "a.sphere").read_bytes() == (tmp_path / "b.sphere").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.sphere") as packed:
        assert {entry.compress_type for entry in packed.infolist()} == {zipfile.ZIP_STORED}
        assert packed.namelist()[0] == "bundle.json"


@pytest.mark.parametrize("position", range(0, 4000, 211))
def test_a_flipped_byte_anywhere_in_a_zip_never_goes_through_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, position: int
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    good = make(tmp_path / "a.sphere").manifest
    content = bytearray((tmp_path / "a.sphere").read_bytes())
    content[position % len(content)] ^= 0x10
    (tmp_path / "a.sphere").write_bytes(content)
    try:
        # Some bytes of a zip mean nothing (times, creator): then everything must still be right.
        assert verify(tmp_path / "a.sphere").manifest == good
    except (ModelCorruptError, NotFoundError):
        return


def zipped(path: Path, change: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    """The golden bundle as a hand-made zip with `change`d or added entries."""
    with zipfile.ZipFile(path, "w", compression) as packed:
        for file in sorted(GOLDEN.rglob("*")):
            if file.is_file():
                name = file.relative_to(GOLDEN).as_posix()
                packed.writestr(name, change.pop(name, file.read_bytes()))
        for name, content in change.items():
            packed.writestr(name, content)
    return path


def test_a_zip_whose_files_would_begin_before_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    make(tmp_path / "a.sphere")
    content = bytearray((tmp_path / "a.sphere").read_bytes())
    # Where the list of files begins (APPNOTE 4.3.16), too far: so all else is moved to the front.
    place = content.rindex(b"PK\5\6") + 16
    (begin,) = struct.unpack_from("<I", content, place)
    struct.pack_into("<I", content, place, begin + 0x10000)
    (tmp_path / "a.sphere").write_bytes(content)
    with pytest.raises(ModelCorruptError):
        verify(tmp_path / "a.sphere")


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "evil", "weights/evil", "weights/"])
def test_a_zip_entry_outside_the_manifest_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelCorruptError, match="not in its manifest"):
        Bundle.open(zipped(tmp_path / "a.sphere", {name: b"x"}))
    assert not (tmp_path / "evil").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_one_name_twice_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.sphere", {})
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("LICENSE", b"Apache-2.0")
    with pytest.raises(ModelCorruptError, match="duplicate file `LICENSE`"):
        Bundle.open(path)


def test_a_compressed_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.sphere", {}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelCorruptError, match="compressed"):
        Bundle.open(path)


def test_a_link_inside_a_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.sphere", {})
    linked = tmp_path / "b.sphere"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(linked, "w") as target:
        for entry in source.infolist():
            if entry.filename == "LICENSE":
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            target.writestr(entry, source.read(entry.filename))
    with pytest.raises(ModelCorruptError, match="not a regular file"):
        Bundle.open(linked)


def test_wrong_content_in_a_zip_never_reaches_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    path = zipped(tmp_path / "a.sphere", {"LICENSE": b"apache-2.0"})
    with pytest.raises(ModelCorruptError, match="LICENSE"):
        Bundle.open(path)
    assert list((tmp_path / "cache" / "bundles").iterdir()) == []


def test_a_cut_off_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.sphere", {})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelCorruptError, match="truncated"):
        Bundle.open(path)


def test_force_replaces_a_zipped_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    make(tmp_path / "a.sphere")
    with pytest.raises(StorageError, match="exists"):
        make(tmp_path / "a.sphere")
    make(tmp_path / "a.sphere", force=True)
    shutil.rmtree(tmp_path / "cache")
    assert [path.name for path in tmp_path.iterdir()] == ["a.sphere"]


def patched(content: bytes, signature: bytes, at: int, new: bytes) -> bytes:
    """`content` with the bytes `at` in the first header of this kind replaced."""
    start = content.index(signature) + at
    return content[:start] + new + content[start + len(new) :]


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"
# Offsets: PKWARE's APPNOTE, 4.3.7 and 4.3.12.
ODD_HEADERS = {
    "another version": ((CENTRAL, 6, b"\x63"),),
    "patched data": ((CENTRAL, 8, b"\x20\x00"), (LOCAL, 6, b"\x20\x00")),
    "encryption": ((CENTRAL, 8, b"\x01\x00"), (LOCAL, 6, b"\x01\x00")),
    "strong encryption": ((CENTRAL, 8, b"\x40\x00"), (LOCAL, 6, b"\x40\x00")),
    "a name that is not UTF-8": ((CENTRAL, 8, b"\x00\x08"), (CENTRAL, 46, b"\xff\xfe")),
    "another name": ((LOCAL, 30, b"\xff"),),
    "a method that is not known": ((CENTRAL, 10, b"\x63\x00"), (LOCAL, 8, b"\x63\x00")),
    "a long extra field": ((CENTRAL, 30, b"\xff\xff"),),
}


@pytest.mark.parametrize("name", ODD_HEADERS)
def test_a_zip_that_python_does_not_read_is_damaged_and_no_surprise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.sphere"
    make(path)
    content = path.read_bytes()
    for signature, at, new in ODD_HEADERS[name]:
        content = patched(content, signature, at, new)
    path.write_bytes(content)
    assert is_bundle(path) in (True, False)
    for read in (Bundle.open, read_manifest, verify):
        with pytest.raises((ModelCorruptError, NotFoundError)):
            read(path)


def test_no_byte_of_a_zips_directory_gets_out_as_a_surprise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.sphere"
    make(path)
    sound = path.read_bytes()
    chance = random.Random(3)
    for _ in range(300):
        damaged = bytearray(sound)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(sound.index(CENTRAL), len(sound))
            damaged[at] = chance.choice((0, 1, 0x20, 0x40, 0x7F, 0x80, 0xFF))
        path.write_bytes(damaged)
        is_bundle(path)
        with suppress(SphereEdgeError):
            read_manifest(path)
