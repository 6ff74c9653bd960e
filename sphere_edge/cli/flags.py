"""What the command groups share: what a command is, its examples, flags with one meaning."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sphere_edge.errors import Status

# The status it ends with; None: OK.
Action = Callable[[], Status | None]


def example(*commands: str) -> str:
    """An epilog that shows `commands`; the mark in front keeps the line ends."""
    return "\n".join(("\b", "Examples:", *(f"  $ {command}" for command in commands)))


def help_unless_invoked(context: typer.Context) -> None:
    """For the callback of a group: its name alone prints its help."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def warn_renamed(old: str, new: str) -> None:
    """Warns about the former name of a command or flag, which works for one more release."""
    from sphere_edge import console

    console.warn(f"`{old}` is now `{new}`; the old name will be removed in the next release")


# The flags of `run` and `chat` that are fields of a TextRequest as they are.
_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "seed", "chat_template_kwargs")


def request_fields(given: Mapping[str, Any], drafts: Drafts) -> dict[str, Any]:
    """The fields of a TextRequest that the flags of `run` and `chat` set; None: the default."""
    return {
        **{name: given[name] for name in _SAMPLING},
        "max_tokens": given["max_tokens"] or None,
        "stop": given["stop"] or None,
        "draft": drafts.source,
        "draft_tokens": drafts.tokens,
    }


@dataclass(frozen=True)
class Drafts:
    """Where drafts come from, as the flags say; what contradicts is a usage error."""

    prompt_lookup: bool
    model: Path | None
    tokens: int | None

    def __post_init__(self) -> None:
        """Raises typer.BadParameter."""
        if self.prompt_lookup and self.model is not None:
            message = "give --prompt-lookup or --draft-model, not both"
            raise typer.BadParameter(message)
        if self.tokens is not None and not self.prompt_lookup and self.model is None:
            message = "--draft-tokens needs --prompt-lookup or --draft-model"
            raise typer.BadParameter(message)

    @property
    def source(self) -> Literal["prompt_lookup"] | None:
        """The `draft` of a request; None: that of the open model."""
        return "prompt_lookup" if self.prompt_lookup else None


def json_object(text: str) -> dict[str, Any]:
    """An option that is a JSON object; anything else is a usage error."""
    from sphere_edge.formats.json_object import without_duplicates

    try:
        value = json.loads(text, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        message = f'`{text}` is not a JSON object such as {{"name": false}}.'
        raise typer.BadParameter(message)
    return value


Json = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout.")]
BundlePath = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Bundle folder or .sphere file.")
]
TrustedFile = Annotated[
    Path | None,
    typer.Option(
        "--trusted",
        metavar="FILE",
        help="Require a signature by a key in this file: a public key (PEM), or JSON as in "
        "docs/signing.md.",
    ),
]
ModelPath = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Bundle folder, .sphere file or .gguf file.")
]
TextModel = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="Bundle folder, .sphere or .gguf file; or a model folder or `tiny`, which is "
        "packaged for this machine on first use.",
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        min=0,
        max=1024,
        help="CPU threads; 0: all performance cores, for GGUF models fewer while these are busy.",
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="cpu, opencl, cuda, metal or vulkan. Default: the first choice that works here.",
    ),
]
Mmproj = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Image encoder of a bare .gguf; a bundle has its own."),
]
ContextTokens = Annotated[
    int | None,
    typer.Option(
        "--context", metavar="TOKENS", help="Context length: prompt and response together."
    ),
]
TemplateVariables = Annotated[
    dict[str, Any] | None,
    typer.Option(
        "--chat-template-kwargs",
        metavar="JSON",
        parser=json_object,
        help='Variables of the chat template: {"enable_thinking": false}.',
    ),
]
MaxTokens = Annotated[
    int,
    typer.Option(
        "--max-tokens", min=0, help="Maximum tokens to generate; 0: until the model stops."
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(min=0, help="0: always the most likely token. Default: the model's."),
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=0xFFFFFFFE, help="Same seed, same output. Default: random.")
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k", min=0, help="Sample from the K likeliest tokens; 0: all. Default: the model's."
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        min=0,
        max=1,
        help="Sample from the likeliest tokens whose probabilities add up to P.",
    ),
]
MinP = Annotated[
    float | None,
    typer.Option(
        "--min-p",
        min=0,
        max=1,
        help="Sample from tokens with at least P times the highest probability.",
    ),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="End before this text; may be repeated."),
]
RequestFile = Annotated[
    Path | None,
    typer.Option(
        "--request",
        metavar="FILE",
        help="TOML or JSON file with any field of TextRequest and ChatOptions, such as "
        "presence_penalty or tool_choice.",
    ),
]
ToolsFile = Annotated[
    Path | None,
    typer.Option("--tools", metavar="FILE", help="JSON list of tools as OpenAI's API has them."),
]
SchemaFile = Annotated[
    Path | None,
    typer.Option("--json-schema", metavar="FILE", help="JSON schema that the answer must follow."),
]
GrammarFile = Annotated[
    Path | None,
    typer.Option("--grammar", metavar="FILE", help="GBNF grammar that the answer must follow."),
]
PromptLookup = Annotated[
    bool,
    typer.Option(
        "--prompt-lookup",
        help="Speculative decoding from the prompt and the answer itself: same text, sooner.",
    ),
]
DraftModel = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL", help="Smaller model with the same tokenizer, for speculative decoding."
    ),
]
DraftTokens = Annotated[
    int | None,
    typer.Option(min=0, max=31, help="Maximum tokens drafted at once. Default: chosen by timing."),
]
DeviceUri = Annotated[
    str,
    typer.Option(
        "--device", "-d", metavar="URI", help="local, adb:SERIAL or ssh://user@host:port."
    ),
]
StoreFolder = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="DIR", help="Store folder on the device. Default: the standard one."
    ),
]
InstalledName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name from `sphere-edge device list`.")
]
