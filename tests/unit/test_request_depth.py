"""How deep a request's body is nested, found in time that grows with its length only."""

from __future__ import annotations

import time

import pytest

from sphere_edge.server.body import parse
from sphere_edge.server.chat_types import ChatBody
from sphere_edge.server.http_error import HttpError
from sphere_edge.server.settings import Settings


def _refusal(content: bytes) -> str:
    with pytest.raises(HttpError) as refused:
        parse(content, ChatBody, Settings())
    return refused.value.message


def test_a_string_that_never_ends_is_refused_at_once() -> None:
    begin = time.process_time()
    assert "not JSON" in _refusal(b'{"model": "' + b'\\"' * 1_000_000)
    assert time.process_time() - begin < 5


def test_brackets_count_outside_strings_only() -> None:
    assert "nested deeper" in _refusal(b'{"a": "\\\\", "b": ' + b"[" * 65 + b"]" * 65 + b"}")
    assert "nested deeper" not in _refusal(b'{"a": "\\"' + b"[" * 65 + b'"}')
