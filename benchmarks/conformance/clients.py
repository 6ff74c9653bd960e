"""Other people's clients, unchanged, against our server: agents, chains, routers, a command line.

    pip install openai-agents langchain-openai litellm llm instructor 'pydantic-ai-slim[openai]'
    python benchmarks/conformance/clients.py [MODEL] [EMBEDDING_MODEL]

MODEL, `tiny` without one, answers. With `tiny` some clients were seen to fail; why was not looked
into. SmolLM2-135M-Instruct (benchmarks/smollm2_folder.py says where it is) has learned to call
tools. EMBEDDING_MODEL is a GGUF. Each client streams and does not, and has a tool called where it
knows tools. Clients that are not installed are said to be left out.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent.parent))

from served import serving  # noqa: E402  from this folder

from sphere_edge import console  # noqa: E402
from tests import random_gguf  # noqa: E402

QUESTION = "What colour is the sky?"


def openai_agents(url: str) -> None:
    """Both of its interfaces; a forced tool, whose result goes back."""
    import agents
    from agents.models.openai_responses import OpenAIResponsesModel
    from openai import AsyncOpenAI

    agents.set_tracing_disabled(True)

    @agents.function_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"sunny in {city}"

    async def used(kind: type) -> None:
        model = kind(model="model", openai_client=AsyncOpenAI(base_url=url, api_key="none"))
        plain = agents.Agent(name="plain", instructions="Answer.", model=model)
        assert (await agents.Runner.run(plain, QUESTION)).final_output
        streamed = agents.Runner.run_streamed(plain, QUESTION)
        assert len([event async for event in streamed.stream_events()]) > 3
        forced = agents.ModelSettings(tool_choice="required", max_tokens=200)
        caller = plain.clone(tools=[weather], model_settings=forced)
        result = await agents.Runner.run(caller, QUESTION, max_turns=4)
        outputs = [item for item in result.new_items if item.type == "tool_call_output_item"]
        assert "sunny" in str(outputs[0].output)

    for kind in (OpenAIResponsesModel, agents.OpenAIChatCompletionsModel):
        asyncio.run(used(kind))


def langchain_openai(url: str) -> None:
    """Chat, streamed and not, tools, answers that follow a schema, embeddings in its own tokens."""
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings
    from pydantic import BaseModel

    class Colour(BaseModel):
        """A colour."""

        name: str

    for with_responses in (False, True):
        chat = ChatOpenAI(
            model="model",
            base_url=url,
            api_key="none",
            max_retries=0,
            max_tokens=64,
            use_responses_api=with_responses,
        )
        assert chat.invoke(QUESTION).text
        assert len(list(chat.stream(QUESTION))) > 1
        with_tool = chat.bind_tools([Colour], tool_choice="Colour")
        assert with_tool.invoke(QUESTION).tool_calls[0]["name"] == "Colour"
        assert chat.with_structured_output(Colour).invoke(QUESTION).name is not None
    vectors = OpenAIEmbeddings(
        model="embedding", base_url=url, api_key="none", check_embedding_ctx_length=False
    )
    assert len(vectors.embed_documents(["one", "two"])) == 2


def litellm(url: str) -> None:
    """Its provider `openai`: chat, responses, completions, embeddings."""
    import litellm as package

    where = {"api_base": url, "api_key": "none"}
    messages = [{"role": "user", "content": QUESTION}]
    for stream in (False, True):
        answer = package.completion("openai/model", messages, stream=stream, max_tokens=16, **where)
        assert list(answer) if stream else answer.choices[0].message.content
        answer = package.responses(QUESTION, "openai/model", stream=stream, **where)
        assert list(answer) if stream else answer.output
    answer = package.text_completion("Hello", "text-completion-openai/model", max_tokens=4, **where)
    assert answer.choices
    assert package.embedding("openai/embedding", ["one"], **where).data


def llm(url: str) -> None:
    """The command line, with a model of its extra-openai-models.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "extra-openai-models.yaml").write_text(
            f"- model_id: here\n  model_name: model\n  api_base: {url}\n  supports_tools: true\n"
            "  supports_schema: true\n"
        )
        environment = {**os.environ, "LLM_USER_PATH": folder}
        for words in (["--no-stream"], [], ["--schema", "name, age int"]):
            command = [sys.executable, "-m", "llm", "-m", "here", "--key", "none", QUESTION, *words]
            ended = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            assert ended.returncode == 0, ended.stderr
            assert ended.stdout.strip()


def instructor(url: str) -> None:
    """Typed answers by tools, by schemas of Chat Completions, and by Responses."""
    import instructor as package
    from openai import OpenAI
    from pydantic import BaseModel, Field

    class Colour(BaseModel):
        """A colour."""

        name: str = Field(max_length=20)

    messages = [{"role": "user", "content": QUESTION}]
    modes = (package.Mode.TOOLS, package.Mode.JSON_SCHEMA, package.Mode.RESPONSES_TOOLS)
    for mode in modes:
        client = package.from_openai(OpenAI(base_url=url, api_key="none"), mode=mode)
        made = client.create(response_model=Colour, messages=messages, model="model", max_retries=0)
        assert isinstance(made, Colour), mode
    client = package.from_openai(
        OpenAI(base_url=url, api_key="none"), mode=package.Mode.JSON_SCHEMA
    )
    assert list(client.create_partial(response_model=Colour, messages=messages, model="model"))


def pydantic_ai(url: str) -> None:
    """Both of its interfaces: plain, streamed, a tool, and an answer that follows a schema."""
    from pydantic import BaseModel, Field
    from pydantic_ai import Agent, NativeOutput, ToolOutput
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    class Colour(BaseModel):
        """A colour."""

        name: str = Field(max_length=20)

    async def used(kind: type) -> None:
        model = kind("model", provider=OpenAIProvider(base_url=url, api_key="none"))
        settings = {"max_tokens": 64}
        plain = Agent(model, instructions="Answer.", model_settings=settings)
        assert (await plain.run(QUESTION)).output
        async with plain.run_stream(QUESTION) as streamed:
            assert [piece async for piece in streamed.stream_text()]
        for output in (NativeOutput(Colour), ToolOutput(Colour)):
            typed = Agent(model, output_type=output, model_settings=settings)
            assert isinstance((await typed.run(QUESTION)).output, Colour)

    for kind in (OpenAIChatModel, OpenAIResponsesModel):
        asyncio.run(used(kind))


CLIENTS: dict[str, Callable[[str], None]] = {
    "agents": openai_agents,
    "langchain_openai": langchain_openai,
    "litellm": litellm,
    "llm": llm,
    "instructor": instructor,
    "pydantic_ai": pydantic_ai,
}
_PACKAGES = {"agents": "openai-agents", "pydantic_ai": "pydantic-ai-slim"}


def main() -> None:
    """All that are installed."""
    model = sys.argv[1] if len(sys.argv) > 1 else "tiny"
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        given = (
            sys.argv[2] if len(sys.argv) > 2 else random_gguf.write(Path(folder) / "random.gguf")
        )
        with serving([f"model={model}", f"embedding={given}"]) as served:
            for name, uses in CLIENTS.items():
                if importlib.util.find_spec(name) is None:
                    console.write(f"{name}: left out, not installed")
                    continue
                try:
                    uses(f"{served.url}/v1")
                except Exception as error:  # noqa: BLE001  whatever a client raises is told
                    failed = True
                    console.write(f"{name}: {type(error).__name__}: {error}")
                else:
                    version = importlib.metadata.version(_PACKAGES.get(name, name))
                    console.write(f"{name} {version}: works")
    sys.exit(failed)


if __name__ == "__main__":
    main()
