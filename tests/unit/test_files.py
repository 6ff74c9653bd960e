"""A file is whole or as it was, whatever happens while it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge.errors import StorageError
from sphere_edge.files import atomic_write


def test_the_file_is_there_when_the_block_is_done(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    with atomic_write(path) as partial:
        partial.write_text("new", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_an_older_file_stays_when_the_block_is_left(
    stop: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "report.md"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(stop), atomic_write(path) as partial:
        partial.write_text("half", encoding="utf-8")
        raise stop
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_is_said_of_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "report.md"
    with (
        pytest.raises(StorageError, match="`.*/absent/report.md` cannot be written: No such file"),
        atomic_write(path) as partial,
    ):
        partial.write_text("text", encoding="utf-8")
