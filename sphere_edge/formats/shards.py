"""Which .safetensors files of a folder make up the model, by its index or its shards' numbers."""

from __future__ import annotations

import re
from pathlib import Path

from sphere_edge.errors import ModelCorruptError, NotFoundError
from sphere_edge.formats import json_object

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.safetensors")


def safetensors_files(folder: Path) -> tuple[list[Path], dict[str, str] | None]:
    """The model's files in order, and the index (tensor name → file name) if it has one.

    `model.safetensors` comes before an index, as in transformers; other files (adapters, the
    original checkpoint in another layout) are not the model. Raises NotFoundError for a missing
    shard or an empty folder, ModelCorruptError for an index that is not one and for several files
    that no index explains.
    """
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"], None
    indexes = visible(folder, "*.safetensors.index.json")
    preferred = [path for path in indexes if path.name == "model.safetensors.index.json"] or indexes
    if len(preferred) > 1:
        names = ", ".join(path.name for path in preferred)
        message = f"`{folder}` holds {len(preferred)} models: {names}"
        raise ModelCorruptError(message, hint="leave one of them in the folder")
    if preferred:
        index = _index(preferred[0])
        return [present(folder, name) for name in sorted(set(index.values()))], index
    files = visible(folder, "*.safetensors")
    if not files:
        message = f"there are no safetensors files in `{folder}`"
        raise NotFoundError(message)
    return numbered(folder, files), None


def visible(folder: Path, pattern: str) -> list[Path]:
    """The files of `folder` whose names match, sorted, without hidden ones such as `._model`."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def index_files(path: Path) -> list[str]:
    """The names of the shards that the index at `path` lists; raises ModelCorruptError."""
    return sorted(set(_index(path).values()))


def present(folder: Path, name: str) -> Path:
    """The file `name` of `folder`; raises NotFoundError without one."""
    if not (folder / name).is_file():
        message = f"shard `{name}` is missing from `{folder}`"
        raise NotFoundError(message, hint="download the model again; its other shards are kept")
    return folder / name


def _index(path: Path) -> dict[str, str]:
    weight_map = json_object.read(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        message = f"`{path.name}` has no `weight_map`"
        raise ModelCorruptError(message)
    for tensor, name in weight_map.items():
        sound = isinstance(name, str) and name.endswith(".safetensors") and "\0" not in name
        if not sound or Path(name).name != name or "\\" in name:
            message = (
                f"`{path.name}` puts `{tensor[:80]}` into `{str(name)[:80]}`, which is not a "
                "safetensors file of the folder"
            )
            raise ModelCorruptError(message)
    return weight_map


def numbered(folder: Path, files: list[Path]) -> list[Path]:
    """All shards of the one model that `files` name; a single file is a model of its own."""
    matches = [_SHARD.fullmatch(path.name) for path in files]
    shards = [match for match in matches if match is not None]
    if len(files) == 1 and not shards:
        return files
    if len(shards) != len(files) or len({(m["stem"], m["total"]) for m in shards}) != 1:
        names = ", ".join(path.name for path in files[:5])
        message = f"`{folder}` holds several safetensors files and no index: {names}"
        raise ModelCorruptError(message, hint="add the index, or leave only the model's own files")
    stem, total = shards[0]["stem"], shards[0]["total"]
    if int(total) > len(files):
        held = {match["number"] for match in shards}
        lacking = next(n for n in range(1, int(total) + 1) if f"{n:05d}" not in held)
        present(folder, f"{stem}-{lacking:05d}-of-{total}.safetensors")
    return files
