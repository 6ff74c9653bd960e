"""A full disk: answers that need no store come, the others say why, and nothing is damaged."""

from __future__ import annotations

import json
import resource
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai as package
import pytest
from openai import OpenAI

from tests.server_process import Served, serving

pytestmark = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="only Linux limits the files of another process"
)
SKY: dict[str, Any] = {"model": "tiny", "input": "What colour is the sky?", "temperature": 0.0}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "responses.sqlite"


@pytest.fixture
def served(bundles: list[str], file: Path) -> Iterator[Served]:
    with serving(*bundles, "--store", str(file)) as served:
        yield served


@pytest.fixture
def fill(served: Served) -> Callable[[int], None]:
    """Lets the files of the server grow to so many bytes; for a process, its disk is full then."""

    def limit(most_bytes: int) -> None:
        bounds = (most_bytes, resource.RLIM_INFINITY)
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, bounds)

    return limit


def events_of(served: Served, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a response, also those at which the client gives up."""
    answer = httpx2.post(f"{served.url}/v1/responses", json=body)
    lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_response_that_cannot_be_stored_says_so_and_the_store_is_whole(
    served: Served, file: Path, fill: Callable[[int], None]
) -> None:
    with served.openai as openai:
        before = openai.responses.create(**SKY)
        conversation = openai.conversations.create().id
        fill(4096)
        with pytest.raises(package.InternalServerError) as caught:
            openai.responses.create(**SKY)
        assert caught.value.status_code == 507
        assert caught.value.code == "storage"
        assert "--no-store" in str(caught.value)
        with pytest.raises(package.APIError, match="--no-store"):
            list(openai.responses.create(**SKY, stream=True))
        events = events_of(served, {**SKY, "stream": True})
        assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        failed = events[-1]["response"]
        assert "the store failed" in failed["error"]["message"]
        assert failed["completed_at"] is None
        for change in (
            lambda: openai.conversations.create(),
            lambda: openai.responses.create(**SKY, conversation=conversation),
            lambda: openai.responses.delete(before.id),
        ):
            with pytest.raises(package.InternalServerError) as caught:
                change()
            assert caught.value.code == "storage"
        # What stores nothing, and what is stored already.
        assert openai.responses.create(**SKY, store=False).output_text == before.output_text
        assert openai.responses.retrieve(before.id) == before
        fill(resource.RLIM_INFINITY)
        after = openai.responses.create(**SKY, previous_response_id=before.id)
        assert openai.responses.retrieve(after.id) == after
        with pytest.raises(package.NotFoundError):
            openai.responses.retrieve(failed["id"])
        assert openai.conversations.items.list(conversation).data == []
    assert served.end() == 0
    with sqlite3.connect(file) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_server_ends_well_though_no_sequence_can_be_kept(
    served: Served, file: Path, fill: Callable[[int], None]
) -> None:
    with served.openai as openai:
        openai.responses.create(**SKY)
    fill(4096)
    assert served.end() == 0
    assert "was not kept" in "".join(served.log)
    assert list(file.with_name(f"{file.name}.sequences").iterdir()) == []


def test_a_long_upload_that_cannot_be_written_is_refused(
    served: Served, openai: OpenAI, fill: Callable[[int], None]
) -> None:
    fill(4096)
    with served.openai as openai, pytest.raises(package.InternalServerError) as caught:
        # Longer than what is kept in memory.
        openai.audio.transcriptions.create(model="tiny-whisper", file=b"RIFF" * 2**19)
    assert caught.value.status_code == 507
    assert caught.value.code == "storage"
    fill(resource.RLIM_INFINITY)
    with served.openai as openai, pytest.raises(package.BadRequestError):
        openai.audio.transcriptions.create(model="tiny-whisper", file=b"RIFF" * 2**19)
