"""The body of POST /v1/chat/completions and of /v1/completions, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sphere_edge.server.body import Body, Part

Temperature = Annotated[float, Field(ge=0, le=2)]
Share = Annotated[float, Field(gt=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
# Token ids, which are names in JSON.
LogitBias = Annotated[
    dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], Annotated[float, Field(ge=-100, le=100)]],
    Field(max_length=1024),
]
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
StopString = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00]+$")]
Stop = StopString | Annotated[list[StopString], Field(max_length=16)]
MaxTokens = Annotated[int, Field(ge=1, le=2**31 - 1)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]
Schema = dict[str, Any]
FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]

NO_SOUND = "send audio to /v1/audio/transcriptions"
NO_FILES = "files are not kept by this server"
ONE_MACHINE = "there is only this machine"


class TextPart(Part):
    """Text inside a message."""

    type: Literal["text"]
    text: str


class ImageUrl(Part):
    """An image as a `data:` URL; every model has one resolution of its own for `detail`."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Part):
    """An image inside a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


class RefusalPart(Part):
    """What a model refused with, sent back as it came."""

    type: Literal["refusal"]
    refusal: str


class OtherPart(Part):
    """Parts that need what is not here; named so that they can be refused by name."""

    left_out_types: ClassVar[Mapping[str, str]] = {
        "input_audio": NO_SOUND,
        "file": NO_FILES,
    }
    type: Literal["input_audio", "file"]


ContentPart = Annotated[TextPart | ImagePart | RefusalPart | OtherPart, Field(discriminator="type")]
Content = str | list[ContentPart]


class FunctionCall(Part):
    """A function that the model called; `arguments` is JSON as the model wrote it."""

    name: FunctionName
    arguments: str


class ToolCall(Part):
    """One tool call of an assistant's message."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class SystemMessage(Part):
    """Instructions."""

    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(Part):
    """What the user says."""

    role: Literal["user"]
    content: Content
    name: str | None = None


class AssistantMessage(Part):
    """What the model said before. Reasoning comes back under either of its two names."""

    left_out: ClassVar[Mapping[str, str]] = {
        "audio": "no model here speaks",
        "function_call": "use `tool_calls`",
    }
    role: Literal["assistant"]
    content: Content | None = None
    name: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=128)] | None = None


class ToolMessage(Part):
    """What a tool returned."""

    role: Literal["tool"]
    content: Content
    tool_call_id: str
    name: str | None = None


Message = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class Prediction(Part):
    """What the answer may repeat, such as a file to edit."""

    type: Literal["content"]
    content: Annotated[str, Field(max_length=1 << 20)] | list[TextPart]


class Function(Part):
    """A function that the model may call."""

    name: FunctionName
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class Tool(Part):
    """A tool; only functions are done by the client, which is the only place for them here."""

    type: Literal["function"]
    function: Function


class NamedFunction(Part):
    """The name of a function."""

    name: FunctionName


class NamedTool(Part):
    """One function that the model must call."""

    type: Literal["function"]
    function: NamedFunction


class AllowedToolList(Part):
    """Which of the tools may be called now."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=128)]


class AllowedTools(Part):
    """The same as a tool_choice."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedToolList


ToolChoice = Literal["none", "auto", "required"] | NamedTool | AllowedTools


class TextFormat(Part):
    """Any text."""

    type: Literal["text"]


class JsonObjectFormat(Part):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchema(Part):
    """A schema by its name."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    schema_: Schema = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(Part):
    """JSON that follows a schema, always strictly."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[
    TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")
]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class StreamOptions(Part):
    """`include_obfuscation` false is what is done anyway."""

    left_out: ClassVar[Mapping[str, str]] = {
        "include_obfuscation": "nobody between this server and its client could read along"
    }
    include_usage: bool | None = None


class Sampled(Body):
    """What all bodies have that make text by sampling."""

    extensions = frozenset({"top_k", "min_p", "repeat_penalty", "grammar", "ignore_eos"})

    model: Name
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: LogitBias | None = None
    stop: Stop | None = None
    seed: Seed | None = None
    user: str | None = None
    # Extensions, under the names that other servers have for them.
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    grammar: Annotated[str, Field(max_length=65536)] | None = None
    ignore_eos: bool | None = None


# Stopped at the first value that is wrong: each error costs more than the value.
_Tokens = Annotated[list[int], Field(fail_fast=True)]
Prompt = (
    str
    | Annotated[list[str], Field(fail_fast=True)]
    | _Tokens
    | Annotated[list[_Tokens], Field(fail_fast=True)]
)


class CompletionBody(Sampled):
    """POST /v1/completions."""

    left_out: ClassVar[Mapping[str, str]] = {
        "suffix": "text is continued at its end",
        "best_of": "use `n`",
    }

    prompt: Annotated[Prompt, Field(max_length=65536)]
    max_tokens: MaxTokens | None = None
    n: Annotated[int, Field(ge=1, le=8)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class ChatBody(Sampled):
    """POST /v1/chat/completions."""

    extensions = Sampled.extensions | {"chat_template_kwargs"}
    left_out: ClassVar[Mapping[str, str]] = {
        "audio": "no model here speaks",
        "function_call": "use `tool_choice`",
        "functions": "use `tools`",
        "moderation": "nothing is moderated here",
        "reasoning": "use `reasoning_effort`",
        "store": "stored answers are those of /v1/responses",
        "verbosity": "no model here is trained for it",
        "web_search_options": "nothing is fetched for a client",
    }

    messages: Annotated[list[Message], Field(min_length=1, max_length=4096)]
    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    n: Annotated[int, Field(ge=1, le=8)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[Literal["text"]] | None = None
    prediction: Prediction | None = None
    metadata: Metadata | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    safety_identifier: str | None = None
    service_tier: Literal["auto", "default"] | None = None
    reasoning_effort: Effort | None = None
    chat_template_kwargs: dict[str, Any] | None = None
