"""Bundles are written whole or not at all, read with suspicion and proven byte by byte."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sphere_edge.bundle.manifest import (
    CacheLayer,
    ManifestDraft,
    Memory,
    Provenance,
    Target,
    Text,
    Tvm,
    bundle_id,
    render,
)
from sphere_edge.bundle.read import Bundle, check_runs_on
from sphere_edge.bundle.verify import verify
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.errors import (
    FormatMismatchError,
    ModelCorruptError,
    NotFoundError,
    StorageError,
)
from sphere_edge.profiles import DeviceProfile

GOLDEN = Path(__file__).parent.parent / "data" / "golden.bundle"
FILES = {
    "lib/model.so": b"machine code",
    "tokenizer.gguf": b"GGUF vocabulary",
    "weights/model-00001.safetensors": bytes(range(256)) * 4,
    "LICENSE": b"Apache-2.0",
}


def draft() -> ManifestDraft:
    return ManifestDraft(
        name="golden",
        task="text",
        engine="tvm",
        family="llama",
        quantization="q4",
        parameters=1000,
        profile="generic-x86-64-v3",
        target=Target(
            triple="x86_64-unknown-linux-gnu", cpu_features=("avx2", "fma", "f16c"), backend="cpu"
        ),
        text=Text(vocab_size=32, context_tokens=64, kv_dtype="float16"),
        tvm=Tvm(
            parameters=("embed.data",),
            cache=(CacheLayer(kv_heads=1, key_dim=8, value_dim=8),),
            prefill_tokens=32,
            score_tokens=8,
        ),
        memory=Memory(
            weights_bytes=1024, kv_cache_bytes=2048, workspace_bytes=512, peak_bytes=4096
        ),
        provenance=Provenance(
            source="tiny", source_sha256="0" * 64, tools={"sphere-edge": "0.1.0"}
        ),
    )


def fill(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def make(output: Path, *, force: bool = False) -> Bundle:
    with BundleWriter(output, force=force) as writer:
        fill(writer.folder)
        return writer.commit(draft())


def rewrite(folder: Path, **changes: object) -> None:
    """bundle.json with `changes` and the id that goes with them, as an attacker would make it."""
    document = json.loads((folder / "bundle.json").read_text())
    document.update(changes)
    document["id"] = bundle_id(document)
    (folder / "bundle.json").write_bytes(render(document))


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
        with pytest.raises(StorageError, match="no bundle"):
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
        "sys.path[:0] = [sys.argv[1]]; import test_bundle, pathlib;"
        "from sphere_edge.errors import StorageError\n"
        "try: test_bundle.make(pathlib.Path(sys.argv[2]) / 'a')\n"
        "except StorageError as error: print(error.message)"
    )
    script = [sys.executable, "-c", limit, str(Path(__file__).parent), str(tmp_path)]
    run = subprocess.run(script, capture_output=True, text=True, timeout=60, check=True)
    assert "cannot write" in run.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    mounting = ["unshare", "--map-root-user", "--mount", "bash", "-ec"]
    mount = f"mount -t tmpfs -o size=64k tmpfs {shlex.quote(str(tmp_path))}"
    try:
        subprocess.run([*mounting, mount], capture_output=True, timeout=60, check=True)
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
        timeout=60,
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


@pytest.mark.parametrize("name", [*FILES, "bundle.json"])
def test_a_flipped_byte_in_any_file_is_found(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path / "a").folder
    content = bytearray((folder / name).read_bytes())
    for position in range(0, len(content), max(1, len(content) // 40)):
        flipped = content.copy()
        flipped[position] ^= 1 << position % 8
        (folder / name).write_bytes(flipped)
        with pytest.raises((ModelCorruptError, FormatMismatchError)):
            verify(folder)
    (folder / name).write_bytes(content)
    verify(folder)


def test_changed_white_space_in_the_manifest_is_found(tmp_path: Path) -> None:
    folder = make(tmp_path / "a").folder
    path = folder / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b"  ", b" \t", 1))
    with pytest.raises(ModelCorruptError, match="not as it was written"):
        verify(folder)


def test_all_damaged_files_are_named(tmp_path: Path) -> None:
    folder = make(tmp_path / "a").folder
    (folder / "LICENSE").write_bytes(b"apache-2.0")
    (folder / "tokenizer.gguf").unlink()
    with pytest.raises(ModelCorruptError, match=r"LICENSE.*tokenizer\.gguf"):
        verify(folder)


def test_a_missing_or_shortened_file_is_found_on_opening(tmp_path: Path) -> None:
    folder = make(tmp_path / "a").folder
    (folder / "LICENSE").write_bytes(b"Apache")
    with pytest.raises(ModelCorruptError, match="6 bytes instead of 10"):
        Bundle.open(folder)
    (folder / "LICENSE").unlink()
    with pytest.raises(ModelCorruptError, match="missing"):
        Bundle.open(folder)


def test_files_that_do_not_belong_are_told_but_harmless(tmp_path: Path) -> None:
    folder = make(tmp_path / "a").folder
    (folder / ".DS_Store").touch()
    assert verify(folder).extra == (".DS_Store",)


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "weights/../../x", "C:\\x", "a//b", ".hidden", "a\nb", ""]
)
def test_a_path_that_leaves_the_bundle_is_refused(tmp_path: Path, path: str) -> None:
    folder = make(tmp_path / "a").folder
    entry = {"path": path, "bytes": 1, "sha256": "0" * 64, "role": "weights"}
    rewrite(folder, files=[entry])
    with pytest.raises(ModelCorruptError, match=r"files\.0\.path"):
        Bundle.open(folder)


def test_a_link_that_leaves_the_bundle_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "a").folder
    (tmp_path / "secret").write_bytes(b"Apache-2.0")
    (folder / "LICENSE").unlink()
    (folder / "LICENSE").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelCorruptError, match="leads out"):
        Bundle.open(folder)


def test_a_bundle_made_of_links_to_the_blobs_of_a_store_is_one(tmp_path: Path) -> None:
    folder = make(tmp_path / "bundles" / "id" / "bundle").folder
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        blob = blobs / hashlib.sha256(path.read_bytes()).hexdigest()
        path.rename(blob)
        path.symlink_to(blob)
    assert Bundle.open(folder).manifest.files
    verify(folder)
    # A blob with another name than the content that the manifest wants is no way out.
    licence = (folder / "LICENSE").resolve()
    licence.rename(blobs / ("0" * 64))
    (folder / "LICENSE").unlink()
    (folder / "LICENSE").symlink_to(blobs / ("0" * 64))
    with pytest.raises(ModelCorruptError, match="leads out"):
        Bundle.open(folder)


def test_a_pipe_in_the_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    folder = make(tmp_path / "a").folder
    (folder / "LICENSE").unlink()
    os.mkfifo(folder / "LICENSE")
    with pytest.raises(ModelCorruptError, match="no regular file"):
        verify(folder)


def test_one_path_twice_is_refused_also_in_other_case(tmp_path: Path) -> None:
    folder = make(tmp_path / "a").folder
    entry = json.loads((folder / "bundle.json").read_text())["files"][0]
    rewrite(folder, files=[entry, {**entry, "path": entry["path"].lower()}])
    with pytest.raises(ModelCorruptError, match="there twice"):
        Bundle.open(folder)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"schema_version": 2}, "newer"),
        ({"runtime_abi": 2}, "newer"),
        ({"runtime_abi": 0}, "package the model again"),
        ({"schema_version": "x"}, "package the model again"),
    ],
)
def test_a_bundle_for_another_version_is_refused_with_the_reason(
    tmp_path: Path, change: dict[str, object], hint: str
) -> None:
    folder = make(tmp_path / "a").folder
    rewrite(folder, **change)
    with pytest.raises(FormatMismatchError) as caught:
        Bundle.open(folder)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 100_000, b"\xff\xfe"],
)
def test_a_manifest_that_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = make(tmp_path / "a").folder
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises((ModelCorruptError, FormatMismatchError)):
        Bundle.open(folder)


def test_a_changed_manifest_with_the_old_id_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "a").folder
    path = folder / "bundle.json"
    path.write_text(path.read_text().replace('"parameters": 1000', '"parameters": 1001'))
    with pytest.raises(ModelCorruptError, match="its id"):
        Bundle.open(folder)


def test_an_unknown_manifest_key_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "a").folder
    rewrite(folder, surprise=1)
    with pytest.raises(ModelCorruptError, match="surprise"):
        Bundle.open(folder)


def test_no_bundle_is_not_found(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NotFoundError):
            Bundle.open(path)


def device(triple: str, *features: str) -> DeviceProfile:
    fields = {
        "name": "board",
        "title": "a board",
        "os": "linux",
        "triple": triple,
        "cpu": {"features": features, "performance_cores": 4},
        "memory": {"total_bytes": "8 GiB", "usable_bytes": "6 GiB"},
        "sources": {"cpu": "made up", "memory": "made up"},
    }
    return DeviceProfile.model_validate(fields)


def test_machine_code_for_another_cpu_is_refused(tmp_path: Path) -> None:
    manifest = make(tmp_path / "a").manifest
    check_runs_on(manifest, device("x86_64-unknown-linux-gnu", "avx2", "fma", "f16c"))
    with pytest.raises(FormatMismatchError, match=r"lacks: fma, f16c"):
        check_runs_on(manifest, device("x86_64-unknown-linux-gnu", "avx2"))
    with pytest.raises(FormatMismatchError, match="arm64 linux"):
        check_runs_on(manifest, device("aarch64-unknown-linux-gnu", "neon"))


# ---- one file --------------------------------------------------------------------------------


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
    with pytest.raises(ModelCorruptError, match="there twice"):
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
    with pytest.raises(ModelCorruptError, match="no plain file"):
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
    with pytest.raises(ModelCorruptError, match="cut off"):
        Bundle.open(path)


def test_force_replaces_a_zipped_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    make(tmp_path / "a.sphere")
    with pytest.raises(StorageError, match="exists"):
        make(tmp_path / "a.sphere")
    make(tmp_path / "a.sphere", force=True)
    shutil.rmtree(tmp_path / "cache")
    assert [path.name for path in tmp_path.iterdir()] == ["a.sphere"]
