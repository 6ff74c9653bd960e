"""Where a body may have many kinds of one thing, a wrong one is named as the client knows it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sphere_edge.server import body
from sphere_edge.server.body import Body
from sphere_edge.server.chat_types import ChatBody
from sphere_edge.server.http_error import HttpError
from sphere_edge.server.response_types import ResponseBody
from sphere_edge.server.settings import Settings

# Functions, alternatives and classes of ours.
OURS = r"_\w+\(|discriminator|\bother\b|\bhosted\b|[A-Z][a-z]+[A-Z]"
SAID = [{"role": "user", "content": "Hello"}]


def refusal(into: type[Body], fields: dict[str, Any]) -> HttpError:
    with pytest.raises(HttpError) as caught:
        body.parse(json.dumps({"model": "tiny", **fields}).encode(), into, Settings())
    return caught.value


@pytest.mark.parametrize(
    ("into", "fields", "param"),
    [
        (ResponseBody, {"input": [{"type": "x"}]}, "input[0].type"),
        (ResponseBody, {"input": [{"type": []}]}, "input[0].type"),
        (ResponseBody, {"input": ["x"]}, "input[0]"),
        (ResponseBody, {"input": [{"role": "user", "content": [{}]}]}, "input[0].content[0].type"),
        (ResponseBody, {"tools": [{"type": "x"}]}, "tools[0].type"),
        (ResponseBody, {"tools": [{}]}, "tools[0].type"),
        (ResponseBody, {"text": {"format": {"type": "x"}}}, "text.format.type"),
        (ChatBody, {"messages": [{"role": "x"}]}, "messages[0].role"),
        (ChatBody, {"messages": [{}]}, "messages[0].role"),
        (ChatBody, {"messages": SAID, "response_format": {"type": "x"}}, "response_format.type"),
    ],
)
def test_a_kind_that_is_not_known_is_named_by_its_field(
    into: type[Body], fields: dict[str, Any], param: str
) -> None:
    error = refusal(into, fields)
    assert (error.http, error.param) == (400, param)
    assert not re.search(OURS, error.message)


def test_what_may_be_there_is_listed() -> None:
    message = refusal(ResponseBody, {"tools": [{"type": "x"}]}).message
    assert message.endswith("`x` is none of function, custom, namespace")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prediction": {"type": "content", "content": 5}}, "prediction.content"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {}, "more": 1}},
            "response_format.json_schema.name",
        ),
    ],
)
def test_a_field_that_is_called_as_its_kind_is_a_part_of_the_name(
    fields: dict[str, Any], param: str
) -> None:
    assert refusal(ChatBody, {"messages": SAID, **fields}).param == param


@pytest.mark.parametrize(
    ("stop", "words"),
    [(["a"] * 17, "at most 16 items"), ("", "at least 1 character"), ("a\0", "pattern")],
)
def test_of_two_forms_the_one_that_was_given_is_judged(stop: Any, words: str) -> None:
    error = refusal(ChatBody, {"messages": SAID, "stop": stop})
    assert error.param == "stop"
    assert words in error.message
