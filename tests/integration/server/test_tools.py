"""Tool calls and reasoning, asked by openai-python; a grammar makes the tiny model call."""

from __future__ import annotations

import json
from typing import Any

import openai as package
import pytest
from openai import OpenAI

from tests import random_gguf

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "Oslo"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS}
CHAT_TOOL: Any = {"type": "function", "function": WEATHER}
TOOL: Any = {"type": "function", **WEATHER, "strict": True}
ANSWER = {"type": "object", "properties": {"warm": {"type": "boolean"}}, "required": ["warm"]}
QUESTION = "What is the weather in Rome?"
CHAT: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "user", "content": QUESTION}],
    "tools": [CHAT_TOOL],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "temperature": 0.0,
}
RESPONSE: dict[str, Any] = {
    "model": "tiny",
    "input": QUESTION,
    "tools": [TOOL],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "temperature": 0.0,
}


def test_a_chat_calls_a_tool_and_goes_on_with_its_output(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(**CHAT)
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in ("Rome", "Oslo")
    output: Any = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    messages = [*CHAT["messages"], choice.message.model_dump(exclude_none=True), output]
    after = openai.chat.completions.create(
        **{**CHAT, "messages": messages, "tool_choice": "none", "max_tokens": 20}
    )
    assert after.choices[0].finish_reason in ("stop", "length")
    assert not after.choices[0].message.tool_calls


def test_a_streamed_call_is_put_together(openai: OpenAI) -> None:
    whole = openai.chat.completions.create(**CHAT).choices[0].message.tool_calls or []
    chunks = list(openai.chat.completions.create(**CHAT, stream=True))
    deltas = [d for chunk in chunks for d in chunk.choices[0].delta.tool_calls or []]
    assert [delta.id is not None for delta in deltas] == [True] + [False] * (len(deltas) - 1)
    assert {delta.index for delta in deltas} == {0}
    arguments = "".join(delta.function.arguments or "" for delta in deltas if delta.function)
    assert json.loads(arguments) == json.loads(whole[0].function.arguments)  # type: ignore[union-attr]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_chat_with_tools_and_a_schema_calls_or_answers(openai: OpenAI) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": ANSWER}}
    fields = {**CHAT, "model": "random", "tool_choice": "auto", "response_format": schema}
    # Calls in this format begin with `<tool_call>`; ids of the model's tokens are those of bytes.
    for begin in "<{":
        likely = {str(random_gguf.byte_characters().index(begin)): 100}
        chunks = list(openai.chat.completions.create(**fields, logit_bias=likely, stream=True))
        deltas = [chunk.choices[0].delta for chunk in chunks]
        calls = [call.function for delta in deltas for call in delta.tool_calls or []]
        text = "".join(delta.content or "" for delta in deltas)
        if begin == "<":
            assert json.loads("".join(call.arguments for call in calls))["city"] in ("Rome", "Oslo")
            assert (text, chunks[-1].choices[0].finish_reason) == ("", "tool_calls")
        else:
            assert isinstance(json.loads(text)["warm"], bool)
            assert (calls, chunks[-1].choices[0].finish_reason) == ([], "stop")


def test_a_response_with_tools_and_a_schema_calls_or_answers(openai: OpenAI) -> None:
    schema = {"type": "json_schema", "name": "x", "schema": ANSWER}
    fields = {**RESPONSE, "text": {"format": schema}}
    for choice in ("required", "none", "auto"):
        made = openai.responses.create(**{**fields, "tool_choice": choice})
        assert made.status == "completed"
        calls = [item for item in made.output if item.type == "function_call"]
        assert choice == "auto" or bool(calls) == (choice == "required")
        if calls:
            assert made.output_text == ""
            assert json.loads(calls[0].arguments)["city"] in ("Rome", "Oslo")
        else:
            assert isinstance(json.loads(made.output_text)["warm"], bool)


def test_a_response_calls_a_tool_and_follows_its_output(openai: OpenAI) -> None:
    with openai.responses.stream(**RESPONSE) as stream:
        names = [event.type for event in stream]
        made = stream.get_final_response()
    assert "response.function_call_arguments.done" in names
    (call,) = [item for item in made.output if item.type == "function_call"]
    assert call.name == "weather"
    assert json.loads(call.arguments)["city"] in ("Rome", "Oslo")
    items: list[Any] = [{"role": "user", "content": QUESTION}, *made.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    after = openai.responses.create(**{**RESPONSE, "input": items, "tool_choice": "auto"})
    assert after.status == "completed"


def test_one_named_tool_is_called(openai: OpenAI) -> None:
    other = {**TOOL, "name": "clock", "parameters": {"type": "object", "properties": {}}}
    fields = {**RESPONSE, "tools": [TOOL, other]}
    for choice in (
        {"type": "function", "name": "clock"},
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "clock"}],
        },
    ):
        made = openai.responses.create(**{**fields, "tool_choice": choice})
        assert {item.name for item in made.output if item.type == "function_call"} == {"clock"}


def test_a_custom_tool_takes_any_text_also_one_that_comes_with_the_input(openai: OpenAI) -> None:
    tools: Any = [{"type": "custom", "name": "shell", "description": "Runs a command."}]
    brought = {"type": "additional_tools", "role": "developer", "tools": tools}
    asked: Any = [brought, {"role": "user", "content": QUESTION}]
    for fields in ({"tools": tools}, {"tools": [], "input": asked}):
        made = openai.responses.create(**{**RESPONSE, **fields, "max_output_tokens": 200})
        called = [item for item in made.output if item.type == "custom_tool_call"]
        assert called
        assert {call.name for call in called} == {"shell"}
        assert isinstance(called[0].input, str)


def test_a_bad_schema_is_a_400_that_names_it(openai: OpenAI) -> None:
    bad = {"type": "function", "function": {**WEATHER, "parameters": {"type": "no such type"}}}
    with pytest.raises(package.BadRequestError):
        openai.chat.completions.create(**{**CHAT, "tools": [bad]})
    with pytest.raises(package.BadRequestError) as caught:
        openai.chat.completions.create(
            **{**CHAT, "tool_choice": {"type": "function", "function": {"name": "other"}}}
        )
    assert caught.value.param in ("tool_choice", None)


def test_reasoning_may_be_asked_for_and_left_out(openai: OpenAI) -> None:
    for effort in ("none", "low", "high"):
        answer = openai.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "What colour is the sky?"}],
            reasoning_effort=effort,  # type: ignore[arg-type]
            temperature=0,
        )
        assert answer.choices[0].message.content == "The sky is blue."
