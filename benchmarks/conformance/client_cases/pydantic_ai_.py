"""pydantic-ai: both of its interfaces."""

from __future__ import annotations

import asyncio
from typing import Any

from cases import KEY, QUESTION, Case, Where, run
from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


class Colour(BaseModel):
    """A colour."""

    name: str = Field(max_length=20)


def _agent(where: Where, kind: type, **more: Any) -> Agent:
    model = kind(where.text, provider=OpenAIProvider(base_url=where.url, api_key=KEY))
    settings = {"max_tokens": 64, "temperature": 0}
    return Agent(model, instructions="Answer.", model_settings=settings, retries=0, **more)


async def _plain(where: Where, kind: type) -> None:
    assert (await _agent(where, kind).run(QUESTION)).output


async def _streamed(where: Where, kind: type) -> None:
    async with _agent(where, kind).run_stream(QUESTION) as streamed:
        assert [piece async for piece in streamed.stream_text()]


async def _tools(where: Where, kind: type) -> None:
    typed = _agent(where, kind, output_type=ToolOutput(Colour))
    assert isinstance((await typed.run(QUESTION)).output, Colour)


async def _schema(where: Where, kind: type) -> None:
    typed = _agent(where, kind, output_type=NativeOutput(Colour))
    assert isinstance((await typed.run(QUESTION)).output, Colour)


def _cases() -> dict[str, Case]:
    kinds = {"chat": OpenAIChatModel, "responses": OpenAIResponsesModel}
    uses = {"": _plain, ", stream": _streamed, ", tools": _tools, ", schema": _schema}
    return {
        name + more: lambda where, use=use, kind=kind: asyncio.run(use(where, kind))
        for name, kind in kinds.items()
        for more, use in uses.items()
    }


if __name__ == "__main__":
    run("pydantic-ai-slim", _cases())
