"""After a restart, stored conversations go on from their kept keys and values."""

from __future__ import annotations

import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.types.responses import Response

from tests.server_process import serving

INSTRUCTIONS = "Answer as a teacher does who has all the time in the world, in whole sentences."
SHORT: dict[str, Any] = {"max_output_tokens": 8, "temperature": 0.0}


@pytest.fixture(params=["tiny", "random"])
def model(request: pytest.FixtureRequest) -> str:
    """A compiled one, and a GGUF."""
    return str(request.param)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "responses.sqlite"


@pytest.fixture
def started(bundles: list[str], file: Path) -> Callable[..., Any]:
    return lambda *more: serving(*bundles, "--store", str(file), *more)


def kept(file: Path) -> list[Path]:
    return sorted(file.with_name(f"{file.name}.sequences").iterdir())


def first(openai: OpenAI, model: str, **fields: Any) -> Response:
    return openai.responses.create(
        model=model,
        input="What colour is the sky above the sea?",
        instructions=INSTRUCTIONS,
        **SHORT,
        **fields,
    )


def then(openai: OpenAI, model: str, before: Response, **fields: Any) -> Response:
    return openai.responses.create(
        model=model,
        input="Why?",
        instructions=INSTRUCTIONS,
        previous_response_id=before.id,
        **SHORT,
        **fields,
    )


def cached(response: Response) -> int:
    assert response.usage is not None
    return response.usage.input_tokens_details.cached_tokens


def test_a_response_goes_on_where_it_was_before_the_restart(
    started: Callable[..., Any], file: Path, model: str
) -> None:
    with started() as served:
        one = first(served.openai, model)
        alone = then(served.openai, model, one)
        assert cached(one) == 0
        assert served.end() == 0
    (path,) = kept(file)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.name.startswith(alone.id)
    with started() as served:
        two = then(served.openai, model, alone)
        assert two.usage is not None
        assert alone.usage is not None
        # All that the one before had computed, but for the end of the prompt and of the answer.
        assert cached(two) >= alone.usage.total_tokens - 12
    with started("--store-sequences", "0") as served:
        again = then(served.openai, model, alone)
        assert cached(again) == 0
        assert again.output_text == two.output_text


def test_what_is_deleted_is_not_kept(started: Callable[..., Any], file: Path) -> None:
    with started() as served:
        one = first(served.openai, "tiny")
        two = then(served.openai, "tiny", one)
    assert len(kept(file)) == 1
    with started() as served:
        # What follows a response has its text, too.
        served.openai.responses.delete(one.id)
        assert kept(file) == []
        alone = first(served.openai, "random")
        served.openai.responses.delete(alone.id)
        unstored = first(served.openai, "random", store=False)
        assert {alone.id, unstored.id, two.id}
    assert kept(file) == []


def test_a_conversation_goes_on_and_forgets(started: Callable[..., Any], file: Path) -> None:
    with started() as served:
        conversation = served.openai.conversations.create().id
        first(served.openai, "tiny", conversation=conversation)
    assert [path.name.partition(".")[0] for path in kept(file)] == [conversation]
    with started() as served:
        second = first(served.openai, "tiny", conversation=conversation)
        assert second.usage is not None
        assert cached(second) > second.usage.input_tokens / 2
        (item, *_) = served.openai.conversations.items.list(conversation).data
        served.openai.conversations.items.delete(str(item.id), conversation_id=conversation)
        assert kept(file) == []


def test_each_of_several_sequences_is_kept_when_a_model_makes_room(
    started: Callable[..., Any], file: Path
) -> None:
    with started("--parallel", "2", "--keep-alive", "0") as served:
        ones: list[Response] = []
        for _ in range(2):
            ones.append(first(served.openai, "tiny"))
            # Both prompts are the same: an open model would use one sequence for both.
            while served.openai.models.retrieve("tiny").model_extra["loaded"]:  # type: ignore[index]
                continue
        assert kept(file)
        assert cached(then(served.openai, "tiny", ones[-1])) > 0
    with started("--parallel", "2") as served:
        assert cached(then(served.openai, "tiny", ones[0])) > 0
        served.openai.responses.create(model="tiny", input="Another one.", **SHORT)
        assert served.end(signal.SIGINT) == 0
    # What goes on takes the place of what it goes on from.
    assert len(kept(file)) == 3


def test_a_damaged_file_is_computed_anew(started: Callable[..., Any], file: Path) -> None:
    with started() as served:
        one = first(served.openai, "tiny")
    (path,) = kept(file)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with started() as served:
        two = then(served.openai, "tiny", one)
        assert cached(two) == 0
        assert "is of no use" in "".join(served.log)


def test_no_more_is_kept_than_was_allowed(started: Callable[..., Any], file: Path) -> None:
    with started("--store-sequences", "1", "--parallel", "4") as served:
        for topic in ("the sea", "a mountain", "the forest at night", "an old town"):
            served.openai.responses.create(model="tiny", input=f"{topic} " * 60, **SHORT)
    assert sum(path.stat().st_size for path in kept(file)) <= 2**20
