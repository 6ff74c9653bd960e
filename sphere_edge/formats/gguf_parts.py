"""The files of a split GGUF, `NAME-00001-of-00003.gguf` and so on: which belong together.

The names are llama.cpp's (`llama_split_path`), which finds the other parts by them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from sphere_edge.errors import NotFoundError

SUFFIX = ".gguf"
_PART = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.gguf)",
    re.DOTALL | re.IGNORECASE,
)


def is_named(name: str) -> bool:
    """Whether a file of this name is one of GGUF by its ending, in upper or lower case."""
    return name.lower().endswith(SUFFIX)


def stem(name: str) -> str:
    """The model's name in a file's name: without the ending, and without the part's number."""
    match = _PART.fullmatch(name)
    if match is not None:
        return match["stem"]
    return name[: -len(SUFFIX)] if is_named(name) else name


def names(name: str) -> tuple[str, ...]:
    """The names of all parts, first to last, of the model that the file `name` is a part of."""
    match = _PART.fullmatch(name)
    count = int(match["count"]) if match is not None else 0
    if match is None or count == 1 or not 0 < int(match["number"]) <= count:
        return (name,)
    return named(match["stem"], count, match["suffix"])


def named(stem: str, count: int, suffix: str = SUFFIX) -> tuple[str, ...]:
    """What `count` parts of the model `stem` are called."""
    if count == 1:
        return (f"{stem}{suffix}",)
    return tuple(f"{stem}-{number:05d}-of-{count:05d}{suffix}" for number in range(1, count + 1))


def paths(path: Path) -> tuple[Path, ...]:
    """The files of the model that `path` is a part of; NotFoundError naming one that is missing."""
    every = tuple(path.with_name(name) for name in names(path.name))
    for part in every:
        if not part.is_file():
            message = f"there is no file `{part}`"
            hint = f"the model has {len(every)} parts, and all of them belong into one folder"
            raise NotFoundError(message, hint=hint if len(every) > 1 else None)
    return every


def models(files: Iterable[str]) -> list[tuple[str, ...]]:
    """The .gguf files among `files`, put together to models, in order of their names."""
    found = sorted(name for name in files if is_named(name))
    return sorted({names(name) for name in found})
