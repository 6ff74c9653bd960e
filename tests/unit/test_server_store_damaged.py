"""A store that is damaged, or has what nobody put there, fails by name and stops no server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sphere_edge.errors import StorageError
from sphere_edge.server.kept_sequences import KeptSequences
from sphere_edge.server.settings import Settings
from sphere_edge.server.store import Store, Stored

ITEM = {"id": "msg_1", "type": "message", "role": "user", "content": "Hello"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "responses.sqlite"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    store = Store(file, Settings())
    store.save(Stored({"id": "resp_1", "output": []}, [ITEM], []))
    yield store
    store.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE owners SET document = '{cut'",
        "UPDATE owners SET document = '[1]'",
        "UPDATE owners SET events = x'0011'",
        "UPDATE items SET item = 'null'",
        f"UPDATE items SET item = '{'[' * 100_000}'",
    ],
)
def test_a_damaged_row_is_said_to_be_damaged(file: Path, store: Store, change: str) -> None:
    with sqlite3.connect(file) as database:
        database.execute(change)
    with pytest.raises(StorageError, match="damaged"):
        store.response("resp_1")


def test_a_response_that_follows_itself_is_damaged(store: Store) -> None:
    store.save(Stored({"id": "resp_2", "output": [], "previous_response_id": "resp_2"}, [], []))
    with pytest.raises(StorageError, match="follows itself"):
        store.history("resp_2")


def test_what_cannot_be_swept_does_not_stop_the_others(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "sequences"
    (folder / "resp_0.folder.sequence").mkdir(parents=True)
    (folder / "resp_9.gone.sequence").write_bytes(b"x" * 100)
    (folder / "resp_1.there.sequence").write_bytes(b"x" * 10)
    KeptSequences(store, folder, 50)
    assert {path.name for path in folder.iterdir()} == {
        "resp_0.folder.sequence",
        "resp_1.there.sequence",
    }
