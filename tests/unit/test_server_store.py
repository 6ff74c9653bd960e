"""What the store counts is what it holds, and what is refused leaves nothing there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sphere_edge.errors import StorageError
from sphere_edge.server.settings import Settings
from sphere_edge.server.store import Store, Stored

LONG = {"id": "msg_long", "type": "message", "content": "x" * 5000}
SHORT = {"id": "msg_short", "type": "message", "content": "x"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "responses.sqlite"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    store = Store(file, Settings(store_bytes=20_000))
    yield store
    store.close()


def conversation(id: str = "conv_1", **more: Any) -> dict[str, Any]:
    return {"id": id, "object": "conversation", **more}


def counted_and_held(file: Path) -> tuple[int, int]:
    with sqlite3.connect(file) as database:
        (counted,) = database.execute("SELECT SUM(bytes) FROM owners").fetchone()
        (held,) = database.execute(
            "SELECT SUM(LENGTH(document) + COALESCE(LENGTH(events), 0)) FROM owners"
        ).fetchone()
        (items,) = database.execute("SELECT SUM(LENGTH(item)) FROM items").fetchone()
    return counted, held + (items or 0)


def test_bytes_are_counted_as_they_come_and_go(file: Path, store: Store) -> None:
    store.save(Stored({"id": "resp_1", "output": [SHORT]}, [LONG], [{"type": "x"}]))
    store.put_conversation(conversation(), [LONG, SHORT])
    counted, held = counted_and_held(file)
    assert counted == held > 10_000
    store.put_conversation(conversation(metadata={"topic": "sky" * 100}))
    store.add_items("conv_1", [SHORT])
    assert len({*counted_and_held(file)}) == 1
    assert store.delete_item("conv_1", LONG["id"])
    assert not store.delete_item("conv_1", LONG["id"])
    counted, held = counted_and_held(file)
    assert counted == held < 7_000


def test_items_that_are_deleted_make_room(store: Store) -> None:
    store.save(Stored({"id": "resp_1", "output": []}, [LONG], []))
    store.put_conversation(conversation())
    for _ in range(10):
        store.add_items("conv_1", [LONG, {**LONG, "id": "msg_2"}])
        store.delete_item("conv_1", LONG["id"])
        store.delete_item("conv_1", "msg_2")
    assert store.response("resp_1") is not None


def test_a_conversation_that_is_too_large_is_refused_and_the_others_stay(store: Store) -> None:
    store.put_conversation(conversation("conv_0"), [LONG])
    with pytest.raises(StorageError, match="larger than the `20000` bytes"):
        store.put_conversation(conversation(), [LONG] * 5)
    assert store.conversation("conv_1") is None
    with pytest.raises(StorageError, match="larger than"):
        store.add_items("conv_0", [LONG] * 4)
    assert store.items("conv_0") == [LONG]


def test_what_comes_after_a_clock_was_set_back_is_kept(file: Path, store: Store) -> None:
    for number in range(3):
        store.save(Stored({"id": f"resp_{number}", "output": []}, [LONG], []))
    with sqlite3.connect(file) as database:
        database.execute("UPDATE owners SET used = used + 1e6")
    for number in range(3, 6):
        store.save(Stored({"id": f"resp_{number}", "output": []}, [LONG], []))
        assert store.response(f"resp_{number}") is not None
    assert store.response("resp_0") is None
