"""autogen-ext's client of OpenAI, alone and inside of an agent of autogen-agentchat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import ModelFamily, ModelInfo, UserMessage
from autogen_core.tools import FunctionTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from cases import KEY, QUESTION, Case, Where, run
from pydantic import BaseModel, Field

MESSAGES = [UserMessage(content=QUESTION, source="user")]


class Colour(BaseModel):
    """A colour."""

    name: str = Field(max_length=20)


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


TOOL = FunctionTool(weather, description="The weather of a city.")
STRICT = FunctionTool(weather, description="The weather of a city.", strict=True)


def _client(where: Where) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(
        model=where.text,
        base_url=where.url,
        api_key=KEY,
        max_retries=0,
        max_tokens=64,
        temperature=0,
        model_info=ModelInfo(
            vision=False,
            function_calling=True,
            json_output=True,
            family=ModelFamily.UNKNOWN,
            structured_output=True,
        ),
    )


async def _plain(where: Where) -> None:
    assert (await _client(where).create(MESSAGES)).content


async def _streamed(where: Where) -> None:
    assert len([piece async for piece in _client(where).create_stream(MESSAGES)]) > 2


async def _tools(where: Where) -> None:
    for tool in (TOOL, STRICT):
        made = await _client(where).create(MESSAGES, tools=[tool], tool_choice="required")
        assert json.loads(made.content[0].arguments)["city"] is not None


async def _schema(where: Where) -> None:
    made = await _client(where).create(MESSAGES, json_output=Colour)
    Colour.model_validate_json(made.content)


async def _agent(where: Where) -> None:
    agent = AssistantAgent("one", _client(where), tools=[TOOL], model_client_stream=True)
    assert (await agent.run(task=QUESTION)).messages[-1].content


def _case(use: Callable[[Where], Awaitable[None]]) -> Case:
    return lambda where: asyncio.run(use(where))


if __name__ == "__main__":
    run(
        "autogen-ext",
        {
            "chat": _case(_plain),
            "chat, stream": _case(_streamed),
            "chat, tools": _case(_tools),
            "chat, schema": _case(_schema),
            "agent": _case(_agent),
        },
    )
