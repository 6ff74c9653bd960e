"""Python's reader of manifests on the corpus that the C++ core's reads, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge.bundle.read import read_manifest
from sphere_edge.errors import FormatMismatchError, ModelCorruptError
from tests import manifest_corpus


@pytest.mark.parametrize("path", manifest_corpus.GOOD, ids=lambda path: path.stem)
def test_a_good_manifest_is_read(path: Path, tmp_path: Path) -> None:
    assert read_manifest(manifest_corpus.bundle(path, tmp_path)).id in path.read_text()


@pytest.mark.parametrize("path", manifest_corpus.BAD, ids=lambda path: path.stem)
def test_a_bad_manifest_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises((ModelCorruptError, FormatMismatchError)):
        read_manifest(manifest_corpus.bundle(path, tmp_path))
