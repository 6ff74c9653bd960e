"""litellm: its provider `openai`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import litellm
from cases import KEY, QUESTION, Where, run

MESSAGES = [{"role": "user", "content": QUESTION}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}},
    "required": ["name"],
    "additionalProperties": False,
}


def _at(where: Where) -> dict[str, Any]:
    return {"api_base": where.url, "api_key": KEY, "num_retries": 0}


def _asked(where: Where, **fields: Any) -> Any:
    settings = {"max_tokens": 60, "temperature": 0, "messages": MESSAGES}
    return litellm.completion(f"openai/{where.text}", **{**settings, **fields}, **_at(where))


def chat(where: Where) -> None:
    """An answer."""
    assert _asked(where).choices[0].message.content


def chat_streamed(where: Where) -> None:
    """Its pieces are the answer."""
    whole = _asked(where).choices[0].message.content
    pieces = [one.choices[0].delta.content or "" for one in _asked(where, stream=True)]
    assert "".join(pieces) == whole


def chat_tools(where: Where) -> None:
    """A call whose output goes back."""
    asked = [{"role": "user", "content": "What is the weather in Rome?"}]
    made = _asked(where, messages=asked, tools=[TOOL], tool_choice="required").choices[0].message
    assert json.loads(made.tool_calls[0].function.arguments)["city"]
    output = {"role": "tool", "tool_call_id": made.tool_calls[0].id, "content": "sunny"}
    after = _asked(where, messages=[*asked, made, output], tools=[TOOL], tool_choice="none")
    assert after.choices[0].message.content


def chat_schema(where: Where) -> None:
    """An answer that follows a schema."""
    wanted = {"name": "colour", "schema": SCHEMA, "strict": True}
    form = {"type": "json_schema", "json_schema": wanted}
    assert "name" in json.loads(_asked(where, response_format=form).choices[0].message.content)


def responses(where: Where) -> None:
    """An answer."""
    assert litellm.responses(QUESTION, f"openai/{where.text}", **_at(where)).output


def responses_streamed(where: Where) -> None:
    """It ends completed."""
    events = list(litellm.responses(QUESTION, f"openai/{where.text}", stream=True, **_at(where)))
    assert events[-1].type == "response.completed"


def completions(where: Where) -> None:
    """Text that goes on."""
    name = f"text-completion-openai/{where.text}"
    assert litellm.text_completion("Hello", name, max_tokens=4, **_at(where)).choices


def embeddings(where: Where) -> None:
    """Of a text."""
    assert litellm.embedding(f"openai/{where.embedding}", ["one"], **_at(where)).data


def transcriptions(where: Where) -> None:
    """Of a file."""
    with Path(where.sound).open("rb") as file:
        heard = litellm.transcription(f"openai/{where.speech}", file, **_at(where))
    assert heard.text == where.said


def images(where: Where) -> None:
    """Of words."""
    made = litellm.image_generation("a red circle", f"openai/{where.image}", **_at(where))
    assert made.data[0].b64_json


if __name__ == "__main__":
    run(
        "litellm",
        {
            "chat": chat,
            "chat, stream": chat_streamed,
            "chat, tools": chat_tools,
            "chat, schema": chat_schema,
            "responses": responses,
            "responses, stream": responses_streamed,
            "completions": completions,
            "embeddings": embeddings,
            "transcriptions": transcriptions,
            "images": images,
        },
    )
