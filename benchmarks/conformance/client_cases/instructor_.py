"""instructor: typed answers in each of its modes."""

from __future__ import annotations

import instructor
from cases import KEY, QUESTION, Case, Where, run
from openai import OpenAI
from pydantic import BaseModel, Field

MESSAGES = [{"role": "user", "content": QUESTION}]


class Colour(BaseModel):
    """A colour."""

    name: str = Field(max_length=20)


def _client(where: Where, mode: instructor.Mode) -> instructor.Instructor:
    return instructor.from_openai(OpenAI(base_url=where.url, api_key=KEY, max_retries=0), mode=mode)


def _typed(where: Where, mode: instructor.Mode) -> None:
    client = _client(where, mode)
    made = client.create(response_model=Colour, messages=MESSAGES, model=where.text, max_retries=0)
    assert isinstance(made, Colour)


def _partial(where: Where, mode: instructor.Mode) -> None:
    client = _client(where, mode)
    parts = list(client.create_partial(response_model=Colour, messages=MESSAGES, model=where.text))
    assert len(parts) > 1
    assert parts[-1].name


def _cases() -> dict[str, Case]:
    modes = {
        "chat, tools": instructor.Mode.TOOLS,
        "chat, strict tools": instructor.Mode.TOOLS_STRICT,
        "chat, schema": instructor.Mode.JSON_SCHEMA,
        "chat, json_object": instructor.Mode.JSON,
        "responses, tools": instructor.Mode.RESPONSES_TOOLS,
    }
    made: dict[str, Case] = {
        name: lambda where, mode=mode: _typed(where, mode) for name, mode in modes.items()
    }
    made["chat, tools, stream"] = lambda where: _partial(where, instructor.Mode.TOOLS)
    made["chat, schema, stream"] = lambda where: _partial(where, instructor.Mode.JSON_SCHEMA)
    return made


if __name__ == "__main__":
    run("instructor", _cases())
