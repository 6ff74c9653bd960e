"""A request as a TOML or JSON file: every field of TextRequest and ChatOptions, by its name."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sphere_edge.errors import InvalidArgumentError, NotFoundError, StorageError
from sphere_edge.formats.json_object import without_duplicates
from sphere_edge.runtime.chat_options import ChatOptions
from sphere_edge.runtime.text_request import TextRequest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LIMIT_BYTES = 16 * 1024 * 1024
# What only programs have a use for: nothing of it would be seen on a terminal.
_NOT_HERE = {"logprobs", "top_logprobs", "sequence_key", "ignore_end_of_text"}
_REQUEST = {one.name for one in dataclasses.fields(TextRequest)} - _NOT_HERE
_OPTIONS = {one.name for one in dataclasses.fields(ChatOptions)} - {"continue_final_message"}


@dataclass(frozen=True)
class ChatRequest:
    """How a text is to be generated and answered."""

    request: TextRequest = TextRequest()
    options: ChatOptions = field(default_factory=ChatOptions)

    def chat_fields(self) -> list[str]:
        """What of it needs a chat template."""
        usual = ChatOptions()
        names = [field.name for field in dataclasses.fields(usual)]
        return [name for name in names if getattr(self.options, name) != getattr(usual, name)]

    def for_chat(self) -> tuple[TextRequest, ChatOptions]:
        """The same, with a JSON schema as the response's format: it leaves room for reasoning."""
        schema = self.request.json_schema
        if not isinstance(schema, Mapping) or self.options.response_format is not None:
            return self.request, self.options
        named = {"name": "answer", "schema": schema}
        response_format = {"type": "json_schema", "json_schema": named}
        request = dataclasses.replace(self.request, json_schema=None)
        return request, dataclasses.replace(self.options, response_format=response_format)


@dataclass(frozen=True)
class Files:
    """The files of a command line; `request` has any field, the others one each."""

    request: Path | None = None
    tools: Path | None = None
    json_schema: Path | None = None
    grammar: Path | None = None


def from_files(files: Files, flags: Mapping[str, Any]) -> ChatRequest:
    """`flags` that are not None, over what the files say.

    Raises NotFoundError, StorageError and InvalidArgumentError.
    """
    fields = _read_object(files.request) if files.request else {}
    for name in fields:
        if name not in _REQUEST | _OPTIONS:
            message = f"`{files.request}` has the unknown key `{name}`"
            known = ", ".join(sorted(_REQUEST | _OPTIONS))
            raise InvalidArgumentError(message, hint=f"use {known}")
    if files.tools:
        fields["tools"] = _read_tools(files.tools)
    if files.json_schema:
        fields["json_schema"] = _read_object(files.json_schema)
    if files.grammar:
        fields["grammar"] = _read(files.grammar)
    fields |= {name: value for name, value in flags.items() if value is not None}
    if isinstance(fields.get("logit_bias"), dict):
        fields["logit_bias"] = {_token(key): bias for key, bias in fields["logit_bias"].items()}
    ours = {name: value for name, value in fields.items() if name in _OPTIONS}
    others = {name: value for name, value in fields.items() if name in _REQUEST}
    return ChatRequest(TextRequest(**others), ChatOptions(**ours))


def _read_object(path: Path) -> dict[str, Any]:
    value = _parsed(path)
    if not isinstance(value, dict):
        message = f"`{path}` is not an object"
        raise InvalidArgumentError(message)
    return value


def _read_tools(path: Path) -> list[Any]:
    value = _parsed(path)
    if isinstance(value, dict):
        value = value.get("tools")
    if not isinstance(value, list):
        message = f"`{path}` is not a list of tools"
        hint = 'each is {"type": "function", "function": {"name": …, "parameters": …}}'
        raise InvalidArgumentError(message, hint=hint)
    return value


def _parsed(path: Path) -> Any:
    """TOML where the name says so, otherwise JSON."""
    text = _read(path)
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text)
        # As TOML has it: of two values of a key only the last would count.
        return json.loads(text, object_pairs_hook=without_duplicates)
    except RecursionError as error:
        message = f"`{path}` is nested too deeply"
        raise InvalidArgumentError(message) from error
    except ValueError as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        message = f"`{path}` is not valid {kind}: {error}"
        raise InvalidArgumentError(message) from error


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            message = f"`{path}` is not a file"
            raise InvalidArgumentError(message)
        with path.open("rb") as file:
            content = file.read(_LIMIT_BYTES + 1)
        if len(content) > _LIMIT_BYTES:
            message = f"`{path}` is larger than `{_LIMIT_BYTES}` bytes"
            raise InvalidArgumentError(message)
        return content.decode()
    except FileNotFoundError as error:
        message = f"there is no file `{path}`"
        raise NotFoundError(message) from error
    except UnicodeDecodeError as error:
        message = f"`{path}` is not UTF-8 text"
        raise InvalidArgumentError(message) from error
    except OSError as error:
        message = f"`{path}` cannot be read: {error.strerror}"
        raise StorageError(message) from error


def _token(key: str) -> int:
    if key.isascii() and key.isdecimal() and len(key) < 11:
        return int(key)
    message = f"logit_bias has the key `{key}`, which is not a token id"
    raise InvalidArgumentError(message)
