"""The cache folder: everything in it is whole, and made by one process at a time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.toolchain import cache


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_folder_is_the_systems_usual_one_unless_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert cache.folder() == tmp_path / "cache"
    monkeypatch.delenv(cache.FOLDER_VARIABLE)
    assert cache.folder().name == "sphere-edge"
    assert cache.folder().is_absolute()


def test_what_is_made_appears_whole_and_is_not_made_again(own_cache: Path) -> None:
    target = own_cache / "builds" / "one"
    with cache.made_once(target) as folder:
        assert folder is not None
        (folder / "file").write_text("made")
        assert not target.exists()
    assert (target / "file").read_text() == "made"
    with cache.made_once(target) as folder:
        assert folder is None


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_an_interrupted_maker_leaves_nothing(own_cache: Path, failure: type[BaseException]) -> None:
    target = own_cache / "one"
    with pytest.raises(failure), cache.made_once(target) as folder:
        assert folder is not None
        (folder / "half").touch()
        raise failure
    assert [path.name for path in own_cache.iterdir()] == [".one.lock"]


def test_what_a_killed_maker_left_is_swept_away(own_cache: Path) -> None:
    left = own_cache / ".one.making-abc"
    left.mkdir(parents=True)
    (left / "half").touch()
    with cache.made_once(own_cache / "one"):
        assert not left.exists()


def test_a_second_maker_waits_and_then_finds_it_made(own_cache: Path) -> None:
    target = own_cache / "one"
    waiting = threading.Event()
    found: list[Path | None] = []

    def second() -> None:
        with cache.made_once(target, on_wait=waiting.set) as folder:
            found.append(folder)

    other = threading.Thread(target=second)
    with cache.made_once(target):
        other.start()
        assert waiting.wait(300)
        assert not found
    other.join(300)
    assert found == [None]


def test_scratch_is_empty_at_the_start_and_gone_at_the_end(own_cache: Path) -> None:
    left = own_cache / "work" / "native" / "left"
    left.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), cache.scratch("native") as place:
        assert place == left.parent
        assert not list(place.iterdir())
        (place / "file").touch()
        raise KeyboardInterrupt
    assert not place.exists()


def test_a_cache_that_cannot_be_written_says_which_variable_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "file"))
    with (
        pytest.raises(errors.StorageError, match="cache folder"),
        cache.made_once(cache.folder() / "one"),
    ):
        pass


def test_a_full_disk_is_named_as_such(own_cache: Path) -> None:
    # /dev/full refuses every write with ENOSPC.
    with (
        pytest.raises(errors.StorageError, match="no space left") as caught,
        cache.made_once(own_cache / "one") as folder,
    ):
        assert folder is not None
        Path("/dev/full").write_text("x" * 100_000)
    assert cache.FOLDER_VARIABLE in str(caught.value.hint)
    assert not (own_cache / "one").exists()
