"""Bundles are read with suspicion."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from sphere_edge.bundle.read import Bundle, check_runs_on
from sphere_edge.bundle.verify import verify
from sphere_edge.errors import (
    FormatMismatchError,
    ModelCorruptError,
    NotFoundError,
)
from sphere_edge.profiles import DeviceProfile
from tests.golden_bundle import make, rewrite


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
    with pytest.raises(ModelCorruptError, match="not a regular file"):
        verify(folder)


def test_one_path_twice_is_refused_also_in_other_case(tmp_path: Path) -> None:
    folder = make(tmp_path / "a").folder
    entry = json.loads((folder / "bundle.json").read_text())["files"][0]
    rewrite(folder, files=[entry, {**entry, "path": entry["path"].lower()}])
    with pytest.raises(ModelCorruptError, match="duplicate path"):
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
