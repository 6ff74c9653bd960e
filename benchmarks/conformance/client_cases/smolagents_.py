"""smolagents: its model class for OpenAI's interface."""

from __future__ import annotations

from cases import KEY, QUESTION, Where, run
from smolagents import OpenAIServerModel, tool

MESSAGES = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]


@tool
def weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: which one.
    """
    return f"sunny in {city}"


def _model(where: Where) -> OpenAIServerModel:
    return OpenAIServerModel(
        where.text, api_base=where.url, api_key=KEY, max_tokens=64, temperature=0
    )


def chat(where: Where) -> None:
    """An answer."""
    assert _model(where).generate(MESSAGES).content


def streamed(where: Where) -> None:
    """In pieces."""
    assert len(list(_model(where).generate_stream(MESSAGES))) > 2


def tools(where: Where) -> None:
    """A call."""
    made = _model(where).generate(MESSAGES, tools_to_call_from=[weather])
    assert made.tool_calls[0].function.name == "weather"


if __name__ == "__main__":
    run("smolagents", {"chat": chat, "chat, stream": streamed, "chat, tools": tools})
