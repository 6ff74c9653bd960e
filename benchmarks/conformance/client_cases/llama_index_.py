"""llama-index's class for servers that are like OpenAI's."""

from __future__ import annotations

from cases import KEY, QUESTION, Where, run
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel, Field


class Colour(BaseModel):
    """A colour."""

    name: str = Field(max_length=20)


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def _model(where: Where) -> OpenAILike:
    return OpenAILike(
        model=where.text,
        api_base=where.url,
        api_key=KEY,
        max_tokens=64,
        temperature=0,
        max_retries=0,
        is_chat_model=True,
        is_function_calling_model=True,
    )


def chat(where: Where) -> None:
    """An answer."""
    assert _model(where).chat([ChatMessage(role="user", content=QUESTION)]).message.content


def streamed(where: Where) -> None:
    """In pieces."""
    assert len(list(_model(where).stream_chat([ChatMessage(role="user", content=QUESTION)]))) > 2


def tools(where: Where) -> None:
    """A call whose output the client makes."""
    tool = FunctionTool.from_defaults(fn=weather)
    made = _model(where).predict_and_call([tool], QUESTION, tool_required=True)
    assert "sunny" in str(made)


def schema(where: Where) -> None:
    """A typed answer, by a tool."""
    typed = _model(where).as_structured_llm(Colour)
    made = typed.chat([ChatMessage(role="user", content=QUESTION)])
    assert isinstance(made.raw, Colour)


if __name__ == "__main__":
    run(
        "llama-index-llms-openai-like",
        {"chat": chat, "chat, stream": streamed, "chat, tools": tools, "chat, schema": schema},
    )
