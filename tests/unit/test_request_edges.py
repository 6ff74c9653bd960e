"""What is odd in a request's head or query is refused with a 4xx, not with an error of ours."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import ValidationError

from sphere_edge.server.access import Access
from sphere_edge.server.body import Body
from sphere_edge.server.chat_types import CompletionBody
from sphere_edge.server.embeddings import EmbeddingBody
from sphere_edge.server.settings import Settings


async def _never(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError


def test_an_origin_that_is_no_address_is_foreign() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"origin", b"http://[")]
    scope = {"type": "http", "method": "GET", "path": "/v1/models", "headers": headers}
    asyncio.run(Access(_never, Settings())(scope, None, send))
    assert sent[0]["status"] == 403


@pytest.mark.parametrize(("into", "field"), [(CompletionBody, "prompt"), (EmbeddingBody, "input")])
def test_many_wrong_values_are_one_error_each_way_that_they_could_be_read(
    into: type[Body], field: str
) -> None:
    body = {"model": "tiny", field: [0.5] * 100_000}
    with pytest.raises(ValidationError) as caught:
        into.model_validate_json(json.dumps(body))
    assert caught.value.error_count() < 10
