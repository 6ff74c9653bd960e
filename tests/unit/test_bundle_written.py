"""Bundles are written whole or not at all."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sphere_edge import packaging, profiles
from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.verify import verify
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import SILENT
from sphere_edge.engines.clone_or_copy import clone_or_copy
from sphere_edge.errors import InvalidArgumentError, StorageError
from sphere_edge.packaging.request import output_for
from tests.golden_bundle import GOLDEN, draft, fill, make


def test_the_golden_bundle_is_still_what_we_write(tmp_path: Path) -> None:
    made = make(tmp_path / "golden.bundle")
    for path in sorted(GOLDEN.rglob("*")):
        if path.is_file():
            assert (made.folder / path.relative_to(GOLDEN)).read_bytes() == path.read_bytes()


def test_the_golden_bundle_can_be_read_and_proven() -> None:
    assert Bundle.open(GOLDEN).manifest.name == "golden"
    assert verify(GOLDEN).extra == ()


def test_the_same_files_give_the_same_id_and_another_byte_another(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    assert first.manifest.id == second.manifest.id
    with BundleWriter(tmp_path / "c") as writer:
        fill(writer.folder)
        (writer.folder / "LICENSE").write_bytes(b"MIT")
        assert writer.commit(draft()).manifest.id != first.manifest.id


def test_only_the_bundle_is_left_in_its_folder(tmp_path: Path) -> None:
    make(tmp_path / "deep" / "a.bundle")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.bundle"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_when_packaging_ends_early(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    with pytest.raises(failure), BundleWriter(tmp_path / "deep" / "a") as writer:
        fill(writer.folder)
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_an_existing_bundle_stays_without_force_and_goes_with_it(tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(StorageError, match="exists") as caught:
        make(tmp_path / "a")
    assert "--force" in (caught.value.hint or "")
    (tmp_path / "a" / "old").touch()
    make(tmp_path / "a", force=True)
    assert verify(tmp_path / "a").extra == ()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_old_bundle_survives_a_failed_replacement(tmp_path: Path) -> None:
    old = make(tmp_path / "a")
    with (
        pytest.raises(ValueError, match="oops"),
        BundleWriter(tmp_path / "a", force=True) as writer,
    ):
        fill(writer.folder)
        failure = ValueError("oops")
        raise failure
    assert verify(tmp_path / "a").manifest == old.manifest


def test_force_never_replaces_what_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("It was")
    (tmp_path / "notes.sphere").write_text("not a zip")
    for name in ("thesis", "notes.sphere"):
        with pytest.raises(StorageError, match="not a bundle"):
            make(tmp_path / name, force=True)
    assert (tmp_path / "thesis" / "chapter1.tex").exists()
    assert (tmp_path / "notes.sphere").exists()


def test_an_empty_folder_may_become_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    make(tmp_path / "a")
    verify(tmp_path / "a")


def test_two_writers_of_one_output_do_not_mix(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "a") as first:
        fill(first.folder)
        second = BundleWriter(tmp_path / "a")
        with pytest.raises(StorageError, match="another process"):
            second.__enter__()
        first.commit(draft())
    assert verify(tmp_path / "a").manifest.files


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    old = make(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / ".a.replaced")
    (tmp_path / ".a.partial" / "weights").mkdir(parents=True)
    (tmp_path / ".a.partial" / "weights" / "half").touch()
    (tmp_path / ".a.packed").touch()
    with BundleWriter(tmp_path / "a", force=True) as writer:
        assert list(writer.folder.iterdir()) == []
        assert verify(tmp_path / "a").manifest == old.manifest
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_output_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        make(tmp_path / "file" / "a")


def test_a_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    limit = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        "import pathlib; from tests.golden_bundle import make;"
        "from sphere_edge.errors import StorageError\n"
        "try: make(pathlib.Path(sys.argv[1]) / 'a')\n"
        "except StorageError as error: print(error.message)"
    )
    script = [sys.executable, "-c", limit, str(tmp_path)]
    run = subprocess.run(
        script,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "cannot write" in run.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    mounting = ["unshare", "--map-root-user", "--mount", "bash", "-ec"]
    mount = f"mount -t tmpfs -o size=64k tmpfs {shlex.quote(str(tmp_path))}"
    try:
        subprocess.run([*mounting, mount], capture_output=True, timeout=300, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody mount a small disk")
    script = (
        "import sys, pathlib; from sphere_edge.bundle.write import BundleWriter\n"
        "from sphere_edge.errors import StorageError\n"
        "out = pathlib.Path(sys.argv[1]) / 'deep' / 'a'\n"
        "try:\n"
        "  with BundleWriter(out) as writer: (writer.folder / 'w').write_bytes(bytes(100_000))\n"
        "except StorageError as error: print(error.message, list(out.parents[1].iterdir()))"
    )
    words = [sys.executable, "-c", script, str(tmp_path)]
    run = subprocess.run(
        [*mounting, f"{mount}; {shlex.join(words)}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "no space left on device" in run.stdout
    assert run.stdout.endswith(" []\n")


def test_a_full_disk_inside_an_engine_is_a_storage_error_too(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no space") as caught, BundleWriter(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "free some space" in (caught.value.hint or "")


def test_too_little_room_is_said_before_the_work(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "a") as writer, pytest.raises(StorageError, match="not enough"):
        writer.require_space(2**60)


@pytest.mark.parametrize("output", ["/", ".", "..", "//", "/.."])
def test_a_folder_that_is_none_of_ours_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").touch()
    with pytest.raises(StorageError, match="not a bundle"), BundleWriter(Path(output)):
        pytest.fail("it was opened")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("output", ["/", ".", ".."])
@pytest.mark.parametrize("as_zip", [False, True])
def test_a_folder_without_a_name_is_no_output(output: str, as_zip: bool) -> None:
    source = packaging.built_in(packaging.TINY)
    with pytest.raises(InvalidArgumentError, match="a bundle needs a name"):
        output_for(source, profiles.host(), Path(output), as_zip=as_zip)


def test_a_model_in_a_bundle_is_never_the_users_own_file(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"x" * 100_000)
    with BundleWriter(tmp_path / "bundle") as writer:
        clone_or_copy(model, writer, "model.gguf", SILENT)
        copy = writer.folder / "model.gguf"
        assert copy.stat().st_ino != model.stat().st_ino
        assert model.stat().st_nlink == 1
        with model.open("r+b") as changed:
            changed.write(b"y")
            changed.truncate(10)
        assert copy.read_bytes() == b"x" * 100_000
