"""haystack-ai: its generator and its embedder for OpenAI's interface."""

from __future__ import annotations

from cases import KEY, QUESTION, Where, run
from haystack.components.embedders import OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import create_tool_from_function
from haystack.utils import Secret


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def _generator(where: Where, **more: object) -> OpenAIChatGenerator:
    return OpenAIChatGenerator(
        api_key=Secret.from_token(KEY),
        model=where.text,
        api_base_url=where.url,
        generation_kwargs={"max_tokens": 64, "temperature": 0},
        max_retries=0,
        **more,
    )


def chat(where: Where) -> None:
    """An answer."""
    assert _generator(where).run([ChatMessage.from_user(QUESTION)])["replies"][0].text


def streamed(where: Where) -> None:
    """In pieces."""
    pieces: list[object] = []
    _generator(where, streaming_callback=pieces.append).run([ChatMessage.from_user(QUESTION)])
    assert len(pieces) > 2


def tools(where: Where) -> None:
    """A call."""
    generator = _generator(where, tools=[create_tool_from_function(weather)])
    made = generator.run(
        [ChatMessage.from_user(QUESTION)], generation_kwargs={"tool_choice": "required"}
    )
    assert made["replies"][0].tool_calls[0].tool_name == "weather"


def embeddings(where: Where) -> None:
    """Of a text."""
    embedder = OpenAITextEmbedder(
        api_key=Secret.from_token(KEY), model=where.embedding, api_base_url=where.url
    )
    assert embedder.run("one")["embedding"]


if __name__ == "__main__":
    run(
        "haystack-ai",
        {"chat": chat, "chat, stream": streamed, "chat, tools": tools, "embeddings": embeddings},
    )
