"""The body of POST /v1/responses, as typed values: fields, items and tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from sphere_edge.server import chat_types
from sphere_edge.server.body import Body, Part
from sphere_edge.server.chat_types import FunctionName, Metadata, Name, RefusalPart, Schema

_HOSTED = "it runs at OpenAI; this server runs and fetches nothing for a client"
_HOSTED_TOOLS = (
    "web_search",
    "web_search_preview",
    "file_search",
    "code_interpreter",
    "image_generation",
    "computer_use_preview",
    "computer",
    "mcp",
    "local_shell",
    "shell",
    "apply_patch",
    "tool_search",
)
_OTHER_ITEMS = (
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "computer_call",
    "computer_call_output",
    "mcp_call",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "compaction",
)
ItemId = Annotated[str, Field(min_length=1, max_length=256)]
Status = Literal["in_progress", "completed", "incomplete"]


class TextPart(Part):
    """Text; `output_text` is what a model said, with its annotations as they came."""

    type: Literal["input_text", "output_text", "text", "summary_text", "reasoning_text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class ImagePart(Part):
    """An image inside a message, as a `data:` URL."""

    left_out: ClassVar[Mapping[str, str]] = {"file_id": chat_types.NO_FILES}
    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class OtherPart(Part):
    """Parts that need what is not here, to be refused by name."""

    left_out_types: ClassVar[Mapping[str, str]] = {
        "input_file": chat_types.NO_FILES,
        "input_audio": chat_types.NO_SOUND,
    }
    type: Literal["input_file", "input_audio"]


ContentPart = Annotated[TextPart | ImagePart | RefusalPart | OtherPart, Field(discriminator="type")]
Content = str | list[ContentPart]


class MessageItem(Part):
    """A message of any role; `id` and `status` of one that a response had."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Content
    id: ItemId | None = None
    status: Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class ReasoningItem(Part):
    """What a model thought, sent back as it came."""

    left_out: ClassVar[Mapping[str, str]] = {
        "encrypted_content": "only the server that encrypted it can read it"
    }
    type: Literal["reasoning"]
    summary: list[ContentPart] = Field(default_factory=list)
    content: list[ContentPart] | None = None
    id: ItemId | None = None
    status: Status | None = None


class FunctionCallItem(Part):
    """A function that the model called."""

    type: Literal["function_call"]
    call_id: ItemId
    name: FunctionName
    arguments: str
    namespace: str | None = None
    id: ItemId | None = None
    status: Status | None = None


class FunctionOutputItem(Part):
    """What the function returned."""

    type: Literal["function_call_output"]
    call_id: ItemId
    output: Content
    id: ItemId | None = None
    status: Status | None = None


class CustomCallItem(Part):
    """A tool that takes any text, called by the model."""

    type: Literal["custom_tool_call"]
    call_id: ItemId
    name: FunctionName
    input: str
    namespace: str | None = None
    id: ItemId | None = None
    status: Status | None = None


class CustomOutputItem(Part):
    """What it returned."""

    type: Literal["custom_tool_call_output"]
    call_id: ItemId
    output: Content
    id: ItemId | None = None
    status: Status | None = None


class ReferenceItem(Part):
    """An item of a stored response."""

    type: Literal["item_reference"] = "item_reference"
    id: ItemId


class OtherItem(Part):
    """Items of tools that run at OpenAI, to be refused by name."""

    left_out_types: ClassVar[Mapping[str, str]] = dict.fromkeys(_OTHER_ITEMS, _HOSTED)
    type: str


def _item_type(value: Any) -> str | None:
    given = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    if given is not None:
        return "other" if given in _OTHER_ITEMS else str(given)
    return "message" if isinstance(value, dict) and "role" in value else "item_reference"


class FunctionTool(Part):
    """A function that the client runs."""

    type: Literal["function"]
    name: FunctionName
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class TextInput(Part):
    """A custom tool's input without a grammar."""

    type: Literal["text"]


class CustomTool(Part):
    """A tool that takes any text."""

    type: Literal["custom"]
    name: FunctionName
    description: str | None = None
    format: TextInput | None = None


class NamespaceTool(Part):
    """Functions under one name, as Codex groups those of a server of tools."""

    type: Literal["namespace"]
    name: FunctionName
    description: str | None = None
    tools: Annotated[list[FunctionTool | CustomTool], Field(max_length=128)]


class HostedTool(Part):
    """Tools that run at OpenAI, to be refused by name; Codex lists some and can do without."""

    may_be_ignored: ClassVar[bool] = True

    left_out_types: ClassVar[Mapping[str, str]] = dict.fromkeys(_HOSTED_TOOLS, _HOSTED)
    type: str


def _tool_type(value: Any) -> str | None:
    given = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "hosted" if given in _HOSTED_TOOLS else given


Tool = Annotated[
    Annotated[FunctionTool, Tag("function")]
    | Annotated[CustomTool, Tag("custom")]
    | Annotated[NamespaceTool, Tag("namespace")]
    | Annotated[HostedTool, Tag("hosted")],
    Discriminator(_tool_type),
]


class AdditionalToolsItem(Part):
    """Tools that come with the input; they are there beside those of the request."""

    type: Literal["additional_tools"]
    role: Literal["developer"]
    tools: Annotated[list[Tool], Field(max_length=128)]
    id: ItemId | None = None
    status: Status | None = None


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[FunctionCallItem, Tag("function_call")]
    | Annotated[FunctionOutputItem, Tag("function_call_output")]
    | Annotated[CustomCallItem, Tag("custom_tool_call")]
    | Annotated[CustomOutputItem, Tag("custom_tool_call_output")]
    | Annotated[AdditionalToolsItem, Tag("additional_tools")]
    | Annotated[ReferenceItem, Tag("item_reference")]
    | Annotated[OtherItem, Tag("other")],
    Discriminator(_item_type),
]


class NamedTool(Part):
    """One tool that the model must call."""

    type: Literal["function", "custom"]
    name: FunctionName


class AllowedTools(Part):
    """Which of the tools may be called now."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=128)]


ToolChoice = Literal["none", "auto", "required"] | NamedTool | AllowedTools


class JsonSchemaFormat(Part):
    """JSON that follows a schema, always strictly."""

    type: Literal["json_schema"]
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    schema_: Schema = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class Text(Part):
    """What form the text has."""

    left_out: ClassVar[Mapping[str, str]] = {"verbosity": "no model here is trained for it"}
    format: (
        Annotated[
            chat_types.TextFormat | chat_types.JsonObjectFormat | JsonSchemaFormat,
            Field(discriminator="type"),
        ]
        | None
    ) = None


class Reasoning(Part):
    """How much is thought; a summary is what was thought itself, shortened by nobody."""

    left_out: ClassVar[Mapping[str, str]] = {
        "context": "what was thought is sent back by the client, or not",
        "mode": "there is one",
    }
    effort: chat_types.Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class ConversationId(Part):
    """A conversation as an object."""

    id: ItemId


class StreamOptions(Part):
    """`include_obfuscation` false is what is done anyway."""

    left_out: ClassVar[Mapping[str, str]] = {
        "include_obfuscation": "nobody between this server and its client could read along"
    }


class ResponseBody(Body):
    """POST /v1/responses."""

    extensions: ClassVar[frozenset[str]] = frozenset({"chat_template_kwargs"})
    left_out: ClassVar[Mapping[str, str]] = {
        "access_programs": chat_types.ONE_MACHINE,
        "background": "an answer is made while its client waits",
        "background_options": "an answer is made while its client waits",
        "context_management": "use `truncation`",
        "image": "use /v1/images/generations",
        "moderation": "nothing is moderated here",
        "prompt": "no prompts are kept here",
    }

    model: Name
    input: str | Annotated[list[Item], Field(max_length=4096)] = Field(default_factory=list)
    instructions: str | None = None
    max_output_tokens: chat_types.MaxTokens | None = None
    temperature: chat_types.Temperature | None = None
    top_p: chat_types.Share | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    presence_penalty: chat_types.Penalty | None = None
    frequency_penalty: chat_types.Penalty | None = None
    text: Text | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    reasoning: Reasoning | None = None
    include: list[Literal["reasoning.encrypted_content", "message.output_text.logprobs"]] | None = (
        None
    )
    metadata: Metadata | None = None
    store: bool | None = None
    previous_response_id: ItemId | None = None
    conversation: ItemId | ConversationId | None = None
    truncation: Literal["auto", "disabled"] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # Taken and sent back; they mean something to those who bill or cache for many.
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    prompt_cache_options: dict[str, Any] | None = None
    safety_identifier: str | None = None
    service_tier: Literal["auto", "default"] | None = None
    user: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
