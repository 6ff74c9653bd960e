"""Fills the marks of a template, a folder that is a real project but for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from sphere_edge.errors import InternalError
from sphere_edge.sdk.project import Content, Plain

_MARK = re.compile(r"\{\{|\{%|\{#")
# In a path: `__package__` is the value of that name.
_NAME = re.compile(r"__([a-z]+(?:_[a-z]+)*)__")


def rendered(
    template: Path, values: Mapping[str, Any], left_out: frozenset[str] = frozenset()
) -> dict[str, Content]:
    """Every file of `template` with its marks filled, by its path, whose marks are filled, too.

    `left_out` are paths in the template. Raises InternalError for a mark without a value.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    contents: dict[str, Content] = {}
    for path in sorted(path for path in template.rglob("*") if path.is_file()):
        relative = path.relative_to(template).as_posix()
        if relative in left_out or any(relative.startswith(f"{name}/") for name in left_out):
            continue
        try:
            text = environment.from_string(path.read_text(encoding="utf-8")).render(values)
            name = _NAME.sub(lambda match: str(values[match[1]]), relative)
        except (jinja2.TemplateError, KeyError) as error:
            message = f"the template `{relative}` cannot be rendered: {error}"
            raise InternalError(message) from error
        if (mark := _MARK.search(text)) is not None:
            message = f"the template `{relative}` keeps a mark: `{text[mark.start() :][:30]}`"
            raise InternalError(message)
        executable = bool(path.stat().st_mode & 0o100) or path.suffix == ".sh"
        contents[name] = Plain(text.encode(), executable=executable)
    return contents


def copied(folder: Path, below: str, left_out: frozenset[str] = frozenset()) -> dict[str, Content]:
    """Every file of `folder`, without hidden ones and what is built, at its path below `below`."""
    contents: dict[str, Content] = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part in ("build", "__pycache__") for part in parts)
        relative = "/".join(parts)
        skipped = any(relative == name or relative.startswith(f"{name}/") for name in left_out)
        if path.is_file() and not hidden and not skipped:
            contents[f"{below}/{relative}"] = Plain(path.read_bytes())
    return contents
