"""openai-agents: both of its interfaces."""

from __future__ import annotations

import asyncio

import agents
from agents.models.openai_responses import OpenAIResponsesModel
from cases import KEY, QUESTION, Case, Where, run
from openai import AsyncOpenAI
from pydantic import BaseModel, Field

agents.set_tracing_disabled(True)


class Colour(BaseModel):
    """A colour."""

    name: str = Field(max_length=20)


@agents.function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def _agent(where: Where, kind: type) -> agents.Agent:
    model = kind(model=where.text, openai_client=AsyncOpenAI(base_url=where.url, api_key=KEY))
    settings = agents.ModelSettings(temperature=0, max_tokens=400)
    return agents.Agent(name="one", instructions="Answer.", model=model, model_settings=settings)


async def _plain(where: Where, kind: type) -> None:
    assert (await agents.Runner.run(_agent(where, kind), QUESTION)).final_output


async def _streamed(where: Where, kind: type) -> None:
    streamed = agents.Runner.run_streamed(_agent(where, kind), QUESTION)
    assert len([event async for event in streamed.stream_events()]) > 3
    assert streamed.final_output


async def _tools(where: Where, kind: type) -> None:
    forced = agents.ModelSettings(temperature=0, max_tokens=200, tool_choice="required")
    caller = _agent(where, kind).clone(tools=[weather], model_settings=forced)
    result = await agents.Runner.run(caller, "What is the weather in Rome?", max_turns=4)
    outputs = [item for item in result.new_items if item.type == "tool_call_output_item"]
    assert "sunny" in str(outputs[0].output)
    assert result.final_output


async def _schema(where: Where, kind: type) -> None:
    typed = _agent(where, kind).clone(output_type=Colour)
    assert isinstance((await agents.Runner.run(typed, QUESTION)).final_output, Colour)


def _cases() -> dict[str, Case]:
    kinds = {"chat": agents.OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}
    uses = {"": _plain, ", stream": _streamed, ", tools": _tools, ", schema": _schema}
    return {
        name + more: lambda where, use=use, kind=kind: asyncio.run(use(where, kind))
        for name, kind in kinds.items()
        for more, use in uses.items()
    }


if __name__ == "__main__":
    run("openai-agents", _cases())
