"""semantic-kernel: chats with and without functions, a typed answer, embeddings."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from cases import KEY, QUESTION, Case, Where, run
from openai import AsyncOpenAI
from pydantic import BaseModel, Field
from semantic_kernel import Kernel
from semantic_kernel.connectors.ai import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import (
    OpenAIChatCompletion,
    OpenAIChatPromptExecutionSettings,
    OpenAITextEmbedding,
)
from semantic_kernel.contents import ChatHistory
from semantic_kernel.functions import kernel_function


class Colour(BaseModel):
    """A colour."""

    name: str = Field(max_length=20)


class Weather:
    """A plugin."""

    calls = 0

    @kernel_function(description="The weather of a city.")
    def weather(self, city: str) -> str:
        """The weather of `city`."""
        Weather.calls += 1
        return f"sunny in {city}"


def _chat(where: Where) -> tuple[OpenAIChatCompletion, ChatHistory]:
    client = AsyncOpenAI(base_url=where.url, api_key=KEY, max_retries=0)
    history = ChatHistory()
    history.add_user_message(QUESTION)
    return OpenAIChatCompletion(ai_model_id=where.text, async_client=client), history


def _settings(**more: object) -> OpenAIChatPromptExecutionSettings:
    return OpenAIChatPromptExecutionSettings(max_tokens=64, temperature=0, **more)


async def _plain(where: Where) -> None:
    service, history = _chat(where)
    assert str(await service.get_chat_message_content(history, _settings()))


async def _streamed(where: Where) -> None:
    service, history = _chat(where)
    pieces = service.get_streaming_chat_message_content(history, _settings())
    assert len([piece async for piece in pieces]) > 2


async def _tools(where: Where) -> None:
    service, history = _chat(where)
    kernel = Kernel()
    kernel.add_plugin(Weather(), "weather")
    # After its turns the kernel asks for a text.
    forced = FunctionChoiceBehavior.Required()
    settings = _settings(function_choice_behavior=forced)
    assert await service.get_chat_message_content(history, settings, kernel=kernel)
    assert Weather.calls > 0


async def _schema(where: Where) -> None:
    service, history = _chat(where)
    answer = await service.get_chat_message_content(history, _settings(response_format=Colour))
    Colour.model_validate_json(str(answer))


async def _embeddings(where: Where) -> None:
    client = AsyncOpenAI(base_url=where.url, api_key=KEY, max_retries=0)
    service = OpenAITextEmbedding(ai_model_id=where.embedding, async_client=client)
    assert len(await service.generate_embeddings(["one", "two"])) == 2


def _case(use: Coroutine) -> Case:
    return lambda where: asyncio.run(use(where))


if __name__ == "__main__":
    run(
        "semantic-kernel",
        {
            "chat": _case(_plain),
            "chat, stream": _case(_streamed),
            "chat, tools": _case(_tools),
            "chat, schema": _case(_schema),
            "embeddings": _case(_embeddings),
        },
    )
