"""Fetching source archives with the real pip, from an index folder made here."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.toolchain import cache, sources

METADATA = b"Metadata-Version: 2.1\nName: tiny_engine\nVersion: 1.2.3\n"
PYPROJECT = b"""
[build-system]
requires = ["a-backend-that-is-nowhere>=99"]
build-backend = "scikit_build_core.build"
"""
FILES = {
    "PKG-INFO": METADATA,
    "pyproject.toml": PYPROJECT,
    "setup.py": b"raise SystemExit('code of the archive must not run')",
    "vendor/engine/src/a.c": b"int a;",
    "vendor/engine/docs/a.md": b"# a",
}


def make_index(folder: Path, files: dict[str, bytes]) -> sources.Source:
    folder.mkdir(exist_ok=True)
    archive = folder / "tiny_engine-1.2.3.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"tiny_engine-1.2.3/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return sources.Source(
        distribution="tiny_engine",
        version="1.2.3",
        sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        archive_bytes=archive.stat().st_size,
        backend="scikit_build_core.build",
        folder="vendor/engine",
        keep=("src",),
    )


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sources.Source:
    """The user's pip knows one index: a folder."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return make_index(tmp_path / "index", FILES)


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.endswith(".lock")]


def test_a_pinned_archive_is_fetched_without_running_its_code(source: sources.Source) -> None:
    folder = sources.fetch_source(source)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"src/a.c"}


def test_the_second_fetch_needs_no_index(source: sources.Source, tmp_path: Path) -> None:
    folder = sources.fetch_source(source)
    (tmp_path / "index" / "tiny_engine-1.2.3.tar.gz").unlink()
    assert sources.fetch_source(source) == folder


def test_another_archive_under_the_same_name_is_refused(
    source: sources.Source, tmp_path: Path
) -> None:
    make_index(tmp_path / "index", FILES | {"vendor/engine/src/a.c": b"int evil;"})
    with pytest.raises(errors.ModelCorruptError, match="than the one with sha256"):
        sources.fetch_source(source)
    assert left_in(tmp_path / "cache" / "sources") == []


def test_an_index_without_the_archive_is_told_apart(source: sources.Source, tmp_path: Path) -> None:
    (tmp_path / "index" / "tiny_engine-1.2.3.tar.gz").unlink()
    with pytest.raises(errors.UnavailableError, match="pip could not fetch") as caught:
        sources.fetch_source(source)
    assert "No matching distribution" in caught.value.message
    assert left_in(tmp_path / "cache" / "sources") == []


def test_an_archive_without_the_wanted_files_leaves_nothing(
    source: sources.Source, tmp_path: Path
) -> None:
    with pytest.raises(errors.ModelCorruptError, match="holds no"):
        sources.fetch_source(replace(source, keep=("src", "include")))
    assert left_in(tmp_path / "cache" / "sources") == []


def test_another_choice_of_files_is_another_folder(source: sources.Source) -> None:
    other = replace(source, keep=("src", "docs"))
    assert sources.fetch_source(source) != sources.fetch_source(other)
    assert (sources.fetch_source(other) / "docs" / "a.md").is_file()


def test_a_part_of_the_same_archive_can_come_along(source: sources.Source, tmp_path: Path) -> None:
    docs = replace(source, keep=("docs",))
    sources.fetch_source(source, along=(docs,))
    (tmp_path / "index" / "tiny_engine-1.2.3.tar.gz").unlink()
    assert (sources.fetch_source(docs) / "docs" / "a.md").is_file()


def test_two_fetches_at_once_fetch_once(source: sources.Source) -> None:
    found: list[Path] = []
    both = [
        threading.Thread(target=lambda: found.append(sources.fetch_source(source)))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert found[0] == found[1]


def test_a_python_without_pip_says_how_to_get_it(
    source: sources.Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(errors.NotFoundError, match="pip is not installed") as caught:
        sources.fetch_source(source)
    assert "-m ensurepip" in str(caught.value.hint)
