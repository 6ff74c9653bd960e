"""Parts of the server that need no model: turns, events of tools and reasoning, items."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from sphere_edge.__main__ import USAGE
from sphere_edge.packaging.built_in_models import path_of
from sphere_edge.runtime.generation import Result
from sphere_edge.runtime.text_delta import TextDelta
from sphere_edge.server import body, resolving, response_input, response_store
from sphere_edge.server.fair_queue import FairQueue
from sphere_edge.server.http_error import HttpError
from sphere_edge.server.response_events import GrowingResponse
from sphere_edge.server.response_types import ResponseBody
from sphere_edge.server.settings import Limits, Settings
from tests.cli_process import in_process

_EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def finished(reason: str = "stop") -> Result:
    return Result(reason, 10, 0, 5, 2, None, 1, 0.1, 0.1, 0.1, "cpu", 0, 0)  # type: ignore[arg-type]


def growing(*deltas: TextDelta, reason: str = "stop", custom: tuple[str, ...] = ()) -> Any:
    """All events of the deltas, and the response at the end."""
    document: dict[str, Any] = {"id": "resp_1", "object": "response", "output": []}
    document |= {"created_at": 1, "status": "in_progress", "model": "m", "tools": []}
    document |= {"parallel_tool_calls": True, "tool_choice": "auto"}
    response = GrowingResponse(document, frozenset(custom))
    events = response.begin()
    for delta in deltas:
        events += response.add(delta)
    return [*events, *response.finish(finished(reason))], response.document


THOUGHT_AND_CALLED = (
    TextDelta("reasoning", "Let me "),
    TextDelta("reasoning", "see."),
    TextDelta("text", "I look."),
    TextDelta("tool_call_begin", tool_index=0, tool_call_id="call_1", tool_name="weather"),
    TextDelta("tool_call_arguments", '{"city":', tool_index=0),
    TextDelta("tool_call_arguments", '"Rome"}', tool_index=0),
    TextDelta("tool_call_end", tool_index=0),
    TextDelta("tool_call_begin", tool_index=1, tool_call_id="call_2", tool_name="shell"),
    TextDelta("tool_call_arguments", '{"input": "ls -l"}', tool_index=1),
    TextDelta("tool_call_end", tool_index=1),
)


def test_reasoning_text_and_calls_are_items_in_their_order() -> None:
    events, document = growing(*THOUGHT_AND_CALLED, reason="tool_calls", custom=("shell",))
    reasoning, message, call, custom = document["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "Let me see."}]
    assert message["content"][0]["text"] == "I look."
    assert (call["call_id"], call["arguments"]) == ("call_1", '{"city":"Rome"}')
    assert (custom["type"], custom["input"]) == ("custom_tool_call", "ls -l")
    assert {item["status"] for item in document["output"]} == {"completed"}
    names = [event["type"].removeprefix("response.") for event in events]
    calls = names.index("function_call_arguments.delta")
    assert names[calls - 1] == "output_item.added"
    assert names[calls + 2 : calls + 4] == ["function_call_arguments.done", "output_item.done"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_openai_python_makes_the_same_response_of_the_events() -> None:
    events, document = growing(*THOUGHT_AND_CALLED, reason="tool_calls", custom=("shell",))
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in events:
        state.handle_event(_EVENTS.validate_python(event))
    built = [item.model_dump(exclude_none=True) for item in state._completed_response.output]
    for item in built:
        item.pop("parsed_arguments", None)
        for part in item.get("content", []):
            part.pop("parsed", None)
    assert built == document["output"]


def test_what_the_engine_cut_off_is_incomplete() -> None:
    _, document = growing(TextDelta("reasoning", "Let"), reason="length")
    assert document["status"] == "incomplete"
    assert document["output"][0]["status"] == "incomplete"
    _, document = growing(reason="stop")
    assert document["output"][0]["content"][0]["text"] == ""


def test_arguments_that_are_not_the_expected_json_are_kept_as_they_are() -> None:
    for arguments in ("ls", '{"other": 1}', '{"input": 5}', "[" * 5000):
        _, document = growing(
            TextDelta("tool_call_begin", tool_call_id="c", tool_name="shell"),
            TextDelta("tool_call_arguments", arguments),
            custom=("shell",),
        )
        assert document["output"][0]["input"] == arguments


def parsed(**fields: Any) -> ResponseBody:
    content = json.dumps({"model": "m", **fields}).encode()
    return body.parse(content, ResponseBody, Settings())


def test_items_become_messages() -> None:
    given = parsed(
        input=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "Hm."}],
            },
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "shell", "input": "ls"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "a b"},
            {"role": "assistant", "content": "Sunny."},
        ]
    )
    _, items = response_store.items_of(None, given)
    messages = response_input.messages_of(response_store.typed(items), "Speak English.", Limits())
    assert [message["role"] for message in messages] == [
        *("system", "system", "user", "assistant", "tool", "tool", "assistant"),
    ]
    assert messages[3]["reasoning_content"] == "Hm."
    calls = [call["function"] for call in messages[3]["tool_calls"]]
    assert calls == [
        {"name": "weather", "arguments": "{}"},
        {"name": "shell", "arguments": '{"input": "ls"}'},
    ]
    assert messages[4] == {"role": "tool", "tool_call_id": "c1", "content": "sunny"}


def test_tools_of_a_namespace_are_functions_with_its_name() -> None:
    function = {"type": "function", "name": "read", "parameters": {"type": "object"}}
    custom = {"type": "custom", "name": "patch", "description": "Changes files."}
    tools = [custom, {"type": "namespace", "name": "files", "tools": [function]}]
    found = response_input.tools_of(parsed(tools=tools).tools or [])
    assert [tool["function"]["name"] for tool in found.functions] == ["patch", "files.read"]
    assert found.custom == {"patch"}
    assert found.functions[0]["function"]["parameters"]["required"] == ["input"]


def test_tools_that_come_with_the_input_are_there_too() -> None:
    function = {"type": "function", "name": "read", "parameters": {"type": "object"}}
    patch = {"type": "custom", "name": "patch"}
    brought = {"type": "additional_tools", "role": "developer", "tools": [patch]}
    given = parsed(tools=[function], input=[brought, {"role": "user", "content": "Read it."}])
    _, items = response_store.items_of(None, given)
    assert items[0]["id"].startswith("at_")
    typed = response_store.typed(items)
    found = response_input.tools_of(given.tools or [], typed)
    assert [tool["function"]["name"] for tool in found.functions] == ["read", "patch"]
    assert found.custom == {"patch"}
    assert len(response_input.messages_of(typed, None, Limits())) == 1


def test_of_tools_that_come_again_the_last_one_holds() -> None:
    def brought(*tools: dict[str, Any]) -> dict[str, Any]:
        return {"type": "additional_tools", "role": "developer", "tools": list(tools)}

    read = {"type": "function", "name": "read", "parameters": {"type": "object"}}
    again = {"type": "custom", "name": "read", "description": "Later."}
    given = parsed(tools=[read], input=[brought(read), brought(again)])
    _, items = response_store.items_of(None, given)
    found = response_input.tools_of(given.tools or [], response_store.typed(items))
    assert [tool["function"]["description"] for tool in found.functions] == ["Later."]
    assert found.custom == {"read"}
    for many in ([read, read], [{**read, "name": f"read_{n}"} for n in range(128)]):
        given = parsed(tools=many, input=[brought(again)])
        _, items = response_store.items_of(None, given)
        with pytest.raises(HttpError, match=r"same name|at most 128"):
            response_input.tools_of(given.tools or [], response_store.typed(items))


def test_tools_that_run_elsewhere_are_refused_or_ignored() -> None:
    tools = [{"type": "web_search", "external": True}, {"type": "custom", "name": "patch"}]
    with pytest.raises(HttpError) as caught:
        parsed(tools=tools)
    assert caught.value.param == "tools[0].type"
    content = json.dumps({"model": "m", "tools": tools}).encode()
    lenient = body.parse(content, ResponseBody, Settings(lenient=True))
    assert response_input.tools_of(lenient.tools or []).custom == {"patch"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [{"role": "user", "content": [{"type": "text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"text": {"format": {"type": "json_schema", "name": "a b"}}}, "text.format.name"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"max_output_tokens": "5"}, "max_output_tokens"),
        ({"metadata": {"a": 1}}, "metadata.a"),
    ],
)
def test_the_field_that_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(HttpError) as caught:
        parsed(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_of_json_is_refused_wherever_it_is(value: float) -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "default": value}}
    for fields in ({"temperature": value}, {"tools": [tool]}):
        with pytest.raises(HttpError) as caught:
            parsed(**fields)
        assert caught.value.code == "invalid_json"
    assert parsed(input="NaN and Infinity").input == "NaN and Infinity"


def test_clients_take_turns_however_many_requests_one_sends() -> None:
    async def run() -> list[str]:
        queue, order = FairQueue(1, 10), []

        async def one(client: str) -> None:
            async with queue.turn(client):
                order.append(client)
                await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(one(client)) for client in "aaaabbc"]
        await asyncio.gather(*tasks)
        assert (queue.running, queue.waiting) == (0, 0)
        return order

    assert "".join(asyncio.run(run())) == "aabcaba"


def test_a_turn_that_nobody_wants_any_more_goes_to_the_next() -> None:
    async def run() -> None:
        queue = FairQueue(1, 2)
        held = asyncio.Event()

        async def one() -> None:
            async with queue.turn("a"):
                await held.wait()

        first, second, third = (asyncio.ensure_future(one()) for _ in range(3))
        await asyncio.sleep(0.01)
        with pytest.raises(HttpError) as caught:
            async with queue.turn("b"):
                pass
        assert (caught.value.http, caught.value.headers) == (429, {"Retry-After": "2"})
        second.cancel()
        await asyncio.sleep(0.01)
        assert queue.waiting == 1
        first.cancel()
        await asyncio.sleep(0.01)
        assert (queue.running, queue.waiting) == (1, 0)
        # It is given the turn and goes away at once.
        fourth = asyncio.ensure_future(one())
        await asyncio.sleep(0.01)
        held.set()
        third.cancel()
        fourth.cancel()
        await asyncio.gather(first, second, third, fourth, return_exceptions=True)
        assert (queue.running, queue.waiting) == (0, 0)

    asyncio.run(run())


def test_only_models_that_may_be_text_need_what_parses_tool_calls(tmp_path: Path) -> None:
    built_in = {name: path_of(name) for name in ("tiny", "tiny-whisper", "tiny-image")}
    found = {name for name, path in built_in.items() if path and resolving._may_be_text(path)}
    assert found == {"tiny"}
    (tmp_path / "config.json").write_text('{"architectures": ["WhisperForConditionalGeneration"]}')
    assert not resolving._may_be_text(tmp_path)
    (tmp_path / "config.json").write_text('{"architectures": ["Qwen2ForCausalLM"]}')
    assert resolving._may_be_text(tmp_path)


@pytest.mark.parametrize("seconds", ["inf", "nan", "5e6", "0"])
def test_a_time_limit_is_one_that_the_engine_can_keep(seconds: str) -> None:
    ended = in_process("serve", "no-such-model", "--timeout", seconds)
    assert ended.returncode == USAGE
    assert "`--timeout`: input should be" in ended.stderr
