"""Bundles are proven byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.verify import verify
from sphere_edge.errors import (
    FormatMismatchError,
    ModelCorruptError,
)
from tests.golden_bundle import FILES, make


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
