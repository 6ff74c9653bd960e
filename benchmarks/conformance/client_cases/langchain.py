"""langchain-openai: chats over both interfaces, and embeddings."""

from __future__ import annotations

from cases import KEY, QUESTION, Case, Where, run
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field


class Colour(BaseModel):
    """A colour."""

    name: str = Field(max_length=20)


def _chat(where: Where, with_responses: bool) -> ChatOpenAI:
    return ChatOpenAI(
        model=where.text,
        base_url=where.url,
        api_key=KEY,
        max_retries=0,
        max_tokens=64,
        temperature=0,
        use_responses_api=with_responses,
    )


def _plain(chat: ChatOpenAI) -> None:
    assert chat.invoke(QUESTION).text


def _streamed(chat: ChatOpenAI) -> None:
    assert len(list(chat.stream(QUESTION))) > 1


def _tools(chat: ChatOpenAI) -> None:
    called = chat.bind_tools([Colour], tool_choice="Colour").invoke(QUESTION)
    assert called.tool_calls[0]["name"] == "Colour"
    output = {"role": "tool", "tool_call_id": called.tool_calls[0]["id"], "content": "done"}
    assert chat.invoke([{"role": "user", "content": QUESTION}, called, output]).text


def _schema(chat: ChatOpenAI) -> None:
    for method in ("json_schema", "function_calling"):
        made = chat.with_structured_output(Colour, method=method).invoke(QUESTION)
        assert isinstance(made, Colour), method


def embeddings(where: Where) -> None:
    """Of texts; by default it sends the tokens of another model, which nothing here has."""
    vectors = OpenAIEmbeddings(
        model=where.embedding, base_url=where.url, api_key=KEY, check_embedding_ctx_length=False
    )
    assert len(vectors.embed_documents(["one", "two"])) == 2


def _cases() -> dict[str, Case]:
    uses = {"": _plain, ", stream": _streamed, ", tools": _tools, ", schema": _schema}
    made: dict[str, Case] = {
        name + more: lambda where, use=use, name=name: use(_chat(where, name == "responses"))
        for name in ("chat", "responses")
        for more, use in uses.items()
    }
    return {**made, "embeddings": embeddings}


if __name__ == "__main__":
    run("langchain-openai", _cases())
