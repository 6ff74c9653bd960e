"""openai-python, unchanged: everything that it has and that the server answers."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
from cases import KEY, QUESTION, Where, run
from openai import OpenAI
from pydantic import BaseModel, Field

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "Oslo"]}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS}
ASKED = [{"role": "user", "content": "What is the weather in Rome?"}]
SHORT = {"temperature": 0, "max_tokens": 200}
BRIEF = {"temperature": 0, "max_output_tokens": 200}


class Colour(BaseModel):
    """A colour."""

    name: str = Field(max_length=20)


def _client(where: Where) -> OpenAI:
    return OpenAI(base_url=where.url, api_key=KEY, max_retries=0)


def models(where: Where) -> None:
    """The list, and one of it."""
    client = _client(where)
    assert where.text in [one.id for one in client.models.list()]
    assert client.models.retrieve(where.text).created > 0


def chat(where: Where) -> None:
    """An answer, and the same one in pieces with its usage."""
    fields: Any = {"model": where.text, "messages": [{"role": "user", "content": QUESTION}]}
    chats = _client(where).chat.completions
    answer = chats.create(**fields, **SHORT)
    assert answer.choices[0].message.content
    chunks = list(
        chats.create(**fields, **SHORT, stream=True, stream_options={"include_usage": True})
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len(pieces) > 2
    assert "".join(pieces) == answer.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == answer.usage.completion_tokens


def chat_tools(where: Where) -> None:
    """A call, streamed and not; its output goes back and is answered."""
    tools: Any = [{"type": "function", "function": {**FUNCTION, "strict": True}}]
    fields: Any = {"model": where.text, "tools": tools, "parallel_tool_calls": False, **SHORT}
    chats = _client(where).chat.completions
    made = chats.create(messages=ASKED, tool_choice="required", **fields).choices[0].message
    assert json.loads(made.tool_calls[0].function.arguments)["city"] in ("Rome", "Oslo")
    with chats.stream(messages=ASKED, tool_choice="required", **fields) as stream:
        names = {event.type for event in stream}
        final = stream.get_final_completion().choices[0].message
    assert "tool_calls.function.arguments.done" in names
    assert final.tool_calls[0].function.parsed_arguments["city"] in ("Rome", "Oslo")
    output: Any = {"role": "tool", "tool_call_id": made.tool_calls[0].id, "content": "sunny"}
    turns: Any = [*ASKED, made, output]
    assert chats.create(messages=turns, tool_choice="none", **fields).choices[0].message.content


def chat_parse(where: Where) -> None:
    """An answer that follows a schema."""
    asked: Any = [{"role": "user", "content": QUESTION}]
    chats = _client(where).chat.completions
    made = chats.parse(model=where.text, messages=asked, response_format=Colour, **SHORT)
    assert isinstance(made.choices[0].message.parsed, Colour)


def responses(where: Where) -> None:
    """Created, streamed, retrieved, listed, followed, cancelled, deleted."""
    made = _client(where).responses
    first = made.create(model=where.text, input="Hello!", **BRIEF)
    assert first.output_text
    with made.stream(model=where.text, input="Hello!", **BRIEF) as stream:
        names = [event.type for event in stream]
        assert stream.get_final_response().output_text == first.output_text
    assert names[0] == "response.created"
    assert made.retrieve(first.id).output_text == first.output_text
    assert list(made.retrieve(first.id, stream=True))[-1].type in (
        "response.completed",
        "response.incomplete",
    )
    assert [item.role for item in made.input_items.list(first.id)] == ["user"]
    after = made.create(model=where.text, input="Why?", previous_response_id=first.id, **BRIEF)
    assert after.previous_response_id == first.id
    # As at OpenAI: only one that runs.
    _refused(openai.BadRequestError, made.cancel, first.id)
    made.delete(first.id)
    _refused(openai.NotFoundError, made.retrieve, first.id)


def _refused(kind: type[Exception], asks: Callable[[str], object], id: str) -> None:
    try:
        asks(id)
    except kind:
        return
    message = f"no {kind.__name__}"
    raise AssertionError(message)


def responses_cancel(where: Where) -> None:
    """One that is being written ends."""
    client = _client(where)
    stream = client.responses.create(
        model=where.text, input="Tell me a very long story.", max_output_tokens=1500, stream=True
    )
    id, last = "", None
    for event in stream:
        last = event
        if event.type == "response.created":
            id = event.response.id
        if event.type == "response.output_text.delta" and id:
            client.responses.cancel(id)
            id = ""
    assert last is not None
    assert last.response.status == "cancelled", last.type


def responses_tools(where: Where) -> None:
    """A call whose output goes back, by the response before and by the whole list of items."""
    made = _client(where).responses
    tools: Any = [{"type": "function", "strict": True, **FUNCTION}]
    fields: Any = {"model": where.text, "tools": tools, **BRIEF}
    asked = made.create(input=ASKED, tool_choice="required", **fields)
    call = next(item for item in asked.output if item.type == "function_call")
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    stored = made.create(
        input=[output], previous_response_id=asked.id, tool_choice="none", **fields
    )
    sent = made.create(input=[*ASKED, *asked.output, output], tool_choice="none", **fields)
    assert stored.output_text == sent.output_text != ""


def responses_parse(where: Where) -> None:
    """An answer that follows a schema, whole and streamed."""
    made = _client(where).responses
    answer = made.parse(model=where.text, input=QUESTION, text_format=Colour, **BRIEF)
    assert isinstance(answer.output_parsed, Colour)
    with made.stream(model=where.text, input=QUESTION, text_format=Colour, **BRIEF) as stream:
        list(stream)
        assert stream.get_final_response().output_parsed == answer.output_parsed


def conversations(where: Where) -> None:
    """Two responses of one conversation."""
    client = _client(where)
    made = client.conversations.create()
    for text in (QUESTION, "Why?"):
        client.responses.create(model=where.text, input=text, conversation=made.id, **BRIEF)
    assert len(list(client.conversations.items.list(made.id))) == 4
    client.conversations.delete(made.id)


def completions(where: Where) -> None:
    """Text that goes on, streamed and not."""
    fields: Any = {"model": where.text, "prompt": "The sky is", "max_tokens": 8, "temperature": 0}
    whole = _client(where).completions.create(**fields).choices[0].text
    pieces = [
        one.choices[0].text for one in _client(where).completions.create(**fields, stream=True)
    ]
    assert "".join(pieces) == whole != ""


def embeddings(where: Where) -> None:
    """Of texts and of tokens, as base64 (the client's default) and as numbers."""
    made = _client(where).embeddings
    first = made.create(model=where.embedding, input=["one", "two"]).data
    second = made.create(model=where.embedding, input="one", encoding_format="float").data
    assert len(first) == 2
    assert (
        max(abs(a - b) for a, b in zip(first[0].embedding, second[0].embedding, strict=True)) < 1e-6
    )
    assert made.create(model=where.embedding, input=[[5, 6, 7]]).data[0].embedding


def transcriptions(where: Where) -> None:
    """Whole, with times, and streamed."""
    made = _client(where).audio.transcriptions
    fields: Any = {"model": where.speech, "file": Path(where.sound)}
    assert made.create(**fields).text == where.said
    long = made.create(**fields, response_format="verbose_json", timestamp_granularities=["word"])
    assert [word.word for word in long.words] == where.said.split()
    *deltas, done = made.create(**fields, stream=True)
    assert "".join(one.delta for one in deltas) == done.text == where.said


def images(where: Where) -> None:
    """Generated whole and streamed, then edited."""
    made = _client(where).images
    fields: Any = {"model": where.image, "prompt": "a red circle", "extra_body": {"seed": 1}}
    first = made.generate(**fields).data[0].b64_json
    *_, last = made.generate(**fields, stream=True)
    assert last.b64_json == first
    picture = io.BytesIO(base64.b64decode(first))
    picture.name = "circle.png"
    edited = made.edit(model=where.edited, prompt="a blue circle", image=picture)
    assert edited.data[0].b64_json


if __name__ == "__main__":
    run(
        "openai",
        {
            "models": models,
            "chat": chat,
            "chat, tools": chat_tools,
            "chat, schema": chat_parse,
            "responses": responses,
            "responses, cancel": responses_cancel,
            "responses, tools": responses_tools,
            "responses, schema": responses_parse,
            "conversations": conversations,
            "completions": completions,
            "embeddings": embeddings,
            "transcriptions": transcriptions,
            "images": images,
        },
    )
