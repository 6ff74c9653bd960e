"""Unpacking a source archive writes what is wanted and nothing anywhere else."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from sphere_edge import errors
from sphere_edge.toolchain.archive import Selection, unpack, unpack_wheel

INSIDE = PurePosixPath("engine-1.0/vendor/engine")


def make_archive(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def link(name: str, to: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.SYMTYPE
    member.linkname = to
    return member


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_only_the_wanted_part_is_written(tmp_path: Path) -> None:
    archive = make_archive(
        tmp_path / "engine-1.0.tar.gz",
        {
            "engine-1.0/setup.py": b"raise SystemExit",
            f"{INSIDE}/CMakeLists.txt": b"project(engine)",
            f"{INSIDE}/src/a.c": b"int a;",
            f"{INSIDE}/src/cuda/b.cu": b"int b;",
            f"{INSIDE}/srcs/c.c": b"int c;",
            f"{INSIDE}/docs/d.md": b"# d",
        },
    )
    out = tmp_path / "out"
    out.mkdir()
    unpack(archive, Selection(INSIDE, ("CMakeLists.txt", "src"), ("src/cuda",)), out)
    assert files(out) == {"CMakeLists.txt": b"project(engine)", "src/a.c": b"int a;"}


@pytest.mark.parametrize(
    "name", ["engine-1.0/../../escaped", "/tmp/escaped", f"{INSIDE}/../../../e"]
)
def test_a_name_that_leaves_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    archive = make_archive(tmp_path / "a.tar.gz", {f"{INSIDE}/src/a.c": b"", name: b"x"})
    out = tmp_path / "deep" / "er" / "out"
    out.mkdir(parents=True)
    with pytest.raises(errors.ModelCorruptError, match="names a path outside itself"):
        unpack(archive, Selection(INSIDE, ("src",)), out)
    assert not list(tmp_path.rglob("e*scaped"))


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = make_archive(
        tmp_path / "a.tar.gz",
        {
            "1": link(f"{INSIDE}/src", str(outside)),
            "2": link(f"{INSIDE}/src/more", str(outside)),
            f"{INSIDE}/src/a.c": b"int a;",
        },
    )
    out = tmp_path / "out"
    out.mkdir()
    unpack(archive, Selection(INSIDE, ("src",)), out)
    assert files(out) == {"src/a.c": b"int a;"}
    assert not any(path.is_symlink() for path in out.rglob("*"))
    assert not list(outside.iterdir())


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    whole = make_archive(tmp_path / "a.tar.gz", {f"{INSIDE}/src/a.c": bytes(range(256)) * 500})
    content = whole.read_bytes()
    for size in (0, 1, 20, len(content) // 2):
        whole.write_bytes(content[:size])
        with pytest.raises(errors.ModelCorruptError, match=r"`a\.tar\.gz` "):
            unpack(whole, Selection(INSIDE, ("src",)), tmp_path)


def test_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "a.tar.gz", {f"{INSIDE}/src/a.c": b"int a;" * 100})
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    with pytest.raises(errors.ModelCorruptError, match="is damaged"):
        unpack(archive, Selection(INSIDE, ("src",)), tmp_path)


def test_an_archive_without_the_wanted_part_is_refused(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "a.tar.gz", {f"{INSIDE}/src/a.c": b""})
    with pytest.raises(errors.ModelCorruptError, match=r"holds no `.*engine/include`"):
        unpack(archive, Selection(INSIDE, ("src", "include")), tmp_path)


def test_an_archive_that_would_fill_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sphere_edge.toolchain.archive.MAXIMUM_BYTES", 1000)
    archive = make_archive(tmp_path / "a.tar.gz", {f"{INSIDE}/src/a.c": b"0" * 1001})
    with pytest.raises(errors.ModelCorruptError, match="holds more than 1000 bytes"):
        unpack(archive, Selection(INSIDE, ("src",)), tmp_path / "out")


def make_wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return path


def test_only_the_wanted_files_of_a_wheel_are_written(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "a.whl", {"a/lib/one.so": b"one", "../b": b"two"})
    (tmp_path / "out").mkdir()
    unpack_wheel(wheel, tmp_path / "out", keep=("a/lib/one.so",))
    assert files(tmp_path / "out") == {"a/lib/one.so": b"one"}


def test_a_whole_folder_of_a_wheel_is_written(tmp_path: Path) -> None:
    inside = {"a/include/one.h": b"one", "a/include/deep/two.h": b"two", "a/includes.h": b"three"}
    wheel = make_wheel(tmp_path / "a.whl", inside)
    (tmp_path / "out").mkdir()
    unpack_wheel(wheel, tmp_path / "out", keep=("a/include/",))
    assert set(files(tmp_path / "out")) == {"a/include/one.h", "a/include/deep/two.h"}
    with pytest.raises(errors.ModelCorruptError, match="holds no `a/lib/`"):
        unpack_wheel(wheel, tmp_path / "out", keep=("a/lib/",))
    hostile = make_wheel(tmp_path / "b.whl", {"a/include/../../../one.h": b"one"})
    with pytest.raises(errors.ModelCorruptError, match="names a path outside itself"):
        unpack_wheel(hostile, tmp_path / "out", keep=("a/include/",))


def test_a_wheel_without_the_wanted_file_and_a_damaged_one_are_told(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "a.whl", {"a/lib/one.so": bytes(1000)})
    with pytest.raises(errors.ModelCorruptError, match="holds no `a/lib/two.so`"):
        unpack_wheel(wheel, tmp_path, keep=("a/lib/two.so",))
    content = bytearray(wheel.read_bytes())
    content[200] ^= 1
    wheel.write_bytes(content)
    with pytest.raises(errors.ModelCorruptError, match="is damaged"):
        unpack_wheel(wheel, tmp_path, keep=("a/lib/one.so",))
