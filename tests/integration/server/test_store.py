"""Stored responses and conversations, asked by openai-python."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai as package
import pytest
from openai import OpenAI

from sphere_edge.server.settings import Settings
from sphere_edge.server.store import Store, Stored
from tests.server_process import Served, serving

SKY: dict[str, Any] = {"model": "tiny", "input": "What colour is the sky?", "temperature": 0.0}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "inside" / "responses.sqlite"


@pytest.fixture(scope="module")
def server(bundles: list[str], file: Path) -> Iterator[Served]:
    with serving(*bundles, "--store", str(file), "--allow-extensions") as served:
        yield served


def test_a_response_is_there_again_until_it_is_deleted(openai: OpenAI) -> None:
    made = openai.responses.create(**SKY, metadata={"a": "b"})
    assert openai.responses.retrieve(made.id) == made
    (item,) = openai.responses.input_items.list(made.id).data
    assert item.content[0].text == SKY["input"]  # type: ignore[union-attr]
    openai.responses.delete(made.id)
    with pytest.raises(package.NotFoundError):
        openai.responses.retrieve(made.id)
    with pytest.raises(package.NotFoundError):
        openai.responses.delete(made.id)


def test_the_events_of_a_response_come_again(openai: OpenAI) -> None:
    first = list(openai.responses.create(**SKY, stream=True))
    id = first[0].response.id  # type: ignore[union-attr]
    again = list(openai.responses.retrieve(id, stream=True))
    assert [event.model_dump() for event in again] == [event.model_dump() for event in first]
    late = list(openai.responses.retrieve(id, stream=True, starting_after=4))
    assert [event.sequence_number for event in late] == [one.sequence_number for one in first[5:]]


def test_a_response_follows_another_without_its_instructions(openai: OpenAI) -> None:
    first = openai.responses.create(**SKY, instructions="Speak like a pirate, always, please.")
    second = openai.responses.create(model="tiny", input="Why?", previous_response_id=first.id)
    sent = [{"role": "user", "content": SKY["input"]}, *first.output]
    sent.append({"role": "user", "content": "Why?"})
    alone = openai.responses.create(model="tiny", input=sent, store=False)  # type: ignore[arg-type]
    assert second.usage is not None
    assert alone.usage is not None
    assert second.usage.input_tokens == alone.usage.input_tokens
    counted = openai.responses.input_tokens.count(
        model="tiny", input="Why?", previous_response_id=first.id
    )
    assert counted.input_tokens == second.usage.input_tokens
    with pytest.raises(package.NotFoundError):
        openai.responses.retrieve(alone.id)
    openai.responses.delete(first.id)
    with pytest.raises(package.BadRequestError) as caught:
        openai.responses.create(**SKY, previous_response_id=second.id)
    assert caught.value.code == "previous_response_not_found"


def test_a_conversation_grows(openai: OpenAI) -> None:
    conversation = openai.conversations.create(metadata={"topic": "sky"})
    openai.responses.create(**SKY, conversation=conversation.id)
    second = openai.responses.create(model="tiny", input="Why?", conversation=conversation.id)
    assert second.conversation is not None
    assert second.conversation.id == conversation.id
    listed = openai.conversations.items.list(conversation.id, order="asc", limit=3)
    assert [item.role for item in listed.data] == ["user", "assistant", "user"]  # type: ignore[union-attr]
    assert listed.has_more
    assert len(list(openai.conversations.items.list(conversation.id, limit=1))) == 4
    openai.conversations.items.delete(listed.data[0].id, conversation_id=conversation.id)  # type: ignore[arg-type]
    assert len(list(openai.conversations.items.list(conversation.id))) == 3
    assert openai.conversations.retrieve(conversation.id).metadata == {"topic": "sky"}
    for as_response in (openai.responses.delete, openai.responses.retrieve):
        with pytest.raises(package.NotFoundError):
            as_response(conversation.id)
    with pytest.raises(package.BadRequestError):
        openai.responses.create(**SKY, previous_response_id=conversation.id)
    openai.conversations.delete(conversation.id)
    with pytest.raises(package.NotFoundError):
        openai.responses.create(**SKY, conversation=conversation.id)


def test_what_is_refused_leaves_no_conversation(openai: OpenAI, file: Path) -> None:
    def conversations() -> int:
        with sqlite3.connect(file) as database:
            return int(
                database.execute("SELECT COUNT(*) FROM owners WHERE id LIKE 'conv%'").fetchone()[0]
            )

    before = conversations()
    reference: Any = {"type": "item_reference", "id": "msg_of_nobody"}
    with pytest.raises(package.BadRequestError) as caught:
        openai.conversations.create(items=[{"role": "user", "content": "Hello"}, reference])
    assert caught.value.code == "item_not_found"
    assert conversations() == before


def test_an_item_is_referred_to_by_its_id(openai: OpenAI) -> None:
    first = openai.responses.create(**SKY)
    message = first.output[0]
    items: list[Any] = [
        {"role": "user", "content": SKY["input"]},
        {"type": "item_reference", "id": message.id},
        {"role": "user", "content": "Why?"},
    ]
    whole: list[Any] = [items[0], message, items[2]]
    counts = [
        openai.responses.input_tokens.count(model="tiny", input=given).input_tokens
        for given in (items, whole)
    ]
    assert counts[0] == counts[1]
    items[1]["id"] = "msg_of_nobody"
    with pytest.raises(package.BadRequestError) as caught:
        openai.responses.create(model="tiny", input=items)
    assert caught.value.code == "item_not_found"


def test_old_turns_are_left_out_but_never_the_instructions(openai: OpenAI) -> None:
    turns: list[Any] = []
    for _ in range(12):
        turns += [{"role": "user", "content": "sky " * 120}]
        turns += [{"role": "assistant", "content": "blue " * 60}]
    turns.append({"role": "user", "content": SKY["input"]})
    with pytest.raises(package.BadRequestError) as caught:
        openai.responses.create(model="tiny", input=turns)
    assert caught.value.code == "context_length_exceeded"
    fields = {"model": "tiny", "input": turns, "instructions": "Be brief.", "truncation": "auto"}
    made = openai.responses.create(**fields, max_output_tokens=50)  # type: ignore[call-overload]
    assert 1500 < made.usage.input_tokens <= 2048 - 50
    assert made.truncation == "auto"


def test_a_running_response_is_cancelled(openai: OpenAI) -> None:
    stream = openai.responses.create(
        **{**SKY, "model": "random"}, stream=True, extra_body={"max_output_tokens": 100000}
    )
    events = iter(stream)
    id = next(events).response.id  # type: ignore[union-attr]
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, events)
        assert openai.responses.cancel(id).status == "cancelled"
        assert rest.result()[-1].response.status == "cancelled"
    with pytest.raises(package.BadRequestError):
        openai.responses.cancel(id)


def test_only_its_owner_can_read_the_store(openai: OpenAI, file: Path) -> None:
    openai.responses.create(**SKY)
    for path in file.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_without_a_store_nothing_is_kept(bundles: list[str]) -> None:
    with serving(*bundles, "--no-store") as served, served.openai as client:
        made = client.responses.create(**SKY)
        with pytest.raises(package.NotFoundError):
            client.responses.retrieve(made.id)
        for fields in ({"store": True}, {"previous_response_id": made.id}):
            with pytest.raises(package.BadRequestError) as caught:
                client.responses.create(**SKY, **fields)  # type: ignore[call-overload]
            assert caught.value.param in fields


def stored(id: str, size: int = 10) -> Stored:
    item = {"id": f"msg_{id}", "type": "message", "content": "x" * size}
    return Stored({"id": id, "output": []}, [item], [])


def test_the_oldest_are_forgotten_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.sqlite", Settings(store_bytes=10_000))
    for number in range(20):
        store.save(stored(f"resp_{number}", 1000))
    kept = [number for number in range(20) if store.response(f"resp_{number}")]
    assert kept == list(range(20))[-len(kept) :]
    assert 7 <= len(kept) <= 9
    assert store.item("msg_resp_0") is None
    store.close()


def test_what_is_older_than_its_time_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    for days, is_there in ((1.0, True), (0.0, False)):
        store = Store(path, Settings(store_days=days))
        store.save(stored(f"resp_{days}"))
        assert (store.response(f"resp_{days}") is not None) is is_there
        store.close()
