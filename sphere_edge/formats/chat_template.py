"""The chat template of a model folder, wherever its makers put it."""

from __future__ import annotations

from pathlib import Path

from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats import json_object

_LIMIT_BYTES = 1024 * 1024


def read(folder: Path) -> str | None:
    """The Jinja source of `folder`'s chat template, None where it has none.

    A chat_template.jinja comes before tokenizer_config.json, as in transformers; of a list of named
    templates the one named `default` is taken. Raises ModelCorruptError.
    """
    path = folder / "chat_template.jinja"
    if path.is_file():
        if path.stat().st_size > _LIMIT_BYTES:
            message = f"`{path.name}` is larger than {_LIMIT_BYTES} bytes"
            raise ModelCorruptError(message)
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            message = f"`{path.name}` is not UTF-8"
            raise ModelCorruptError(message) from error
    for name in ("chat_template.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            value = json_object.read(folder / name).get("chat_template")
            if value is not None:
                return _default(name, value)
    return None


def _default(file: str, value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        named = {item.get("name"): item.get("template") for item in value if isinstance(item, dict)}
        template = named.get("default")
        if isinstance(template, str):
            return template
        if named and all(isinstance(item, str) for item in named.values()):
            return None
    message = f"`chat_template` in {file} is neither a string nor a list of named strings"
    raise ModelCorruptError(message)
