"""POST /v1/responses, asked by openai-python."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from openai import OpenAI
from pydantic import BaseModel

SKY: dict[str, Any] = {"model": "tiny", "input": "What colour is the sky?", "temperature": 0.0}
# What OpenAI and Open Responses (2026-04-24) require to be there.
KEYS = [
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "error",
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "usage",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
]
FILE = {"type": "input_file", "file_url": "http://127.0.0.1:1/secret"}


class Colour(BaseModel):
    colour: Literal["blue", "red"]


def test_a_response_has_its_text_and_every_key(openai: OpenAI) -> None:
    raw = openai.responses.with_raw_response.create(**SKY)
    document = json.loads(raw.content)
    assert len(KEYS) == 31
    assert not [key for key in KEYS if key not in document]
    response = raw.parse()
    assert (response.status, response.output_text) == ("completed", "The sky is blue.")
    used = document["usage"]
    assert used["total_tokens"] == used["input_tokens"] + used["output_tokens"]
    assert used["input_tokens_details"].keys() == {"cached_tokens", "cache_write_tokens"}
    assert used["output_tokens_details"] == {"reasoning_tokens": 0}


def test_events_come_in_their_order(openai: OpenAI) -> None:
    with openai.responses.stream(**SKY) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    names = [event.type.removeprefix("response.") for event in events]
    deltas = names.count("output_text.delta")
    assert deltas > 1
    assert names == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * deltas,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert final.output_text == "The sky is blue."
    of_item = [getattr(event, "item_id", None) for event in events]
    assert {one for one in of_item if one} == {final.output[0].id}
    assert {event.response.id for event in events if hasattr(event, "response")} == {final.id}


def test_a_response_that_was_cut_off_is_incomplete(openai: OpenAI) -> None:
    response = openai.responses.create(**SKY, max_output_tokens=2)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[0].status == "incomplete"  # type: ignore[union-attr]
    events = list(openai.responses.create(**SKY, max_output_tokens=2, stream=True))
    assert events[-1].type == "response.incomplete"


def test_a_conversation_is_what_the_client_sends(openai: OpenAI) -> None:
    first = openai.responses.create(**SKY)
    items = [{"role": "user", "content": SKY["input"]}, *first.output]
    items.append({"role": "user", "content": [{"type": "input_text", "text": "Why?"}]})
    second = openai.responses.create(model="tiny", input=items, instructions="Be brief.")  # type: ignore[arg-type]
    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.input_tokens > first.usage.total_tokens
    assert second.instructions == "Be brief."


def test_structured_output_is_parsed(openai: OpenAI) -> None:
    response = openai.responses.parse(**SKY, text_format=Colour)
    assert response.output_parsed is not None
    assert response.output_parsed.colour in ("blue", "red")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True}, "background"),
        ({"prompt": {"id": "x"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"input": [{"role": "user", "content": [FILE]}]}, "input[0].content[0].type"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"temperature": -1}, "temperature"),
        ({"extra_body": {"inputs": 1}}, "inputs"),
    ],
)
def test_what_is_not_done_is_refused_by_name(
    openai: OpenAI, fields: dict[str, Any], param: str
) -> None:
    import openai as package

    with pytest.raises(package.BadRequestError) as caught:
        openai.responses.create(**{**SKY, **fields})
    assert caught.value.param == param
