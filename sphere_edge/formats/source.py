"""What the user means by a model: a hub id, a folder or a file becomes a ModelSource."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from sphere_edge.errors import InvalidArgumentError, NotFoundError, StorageError, UnsupportedError
from sphere_edge.formats import diffusion, gguf, gguf_parts, task
from sphere_edge.formats import hub as model_hub
from sphere_edge.formats.hub import Hub
from sphere_edge.formats.safetensors import read_header
from sphere_edge.formats.shards import safetensors_files
from sphere_edge.formats.wanted import ANY, Kind, Wanted

# What decides how a model behaves besides the weights; part of its sha256.
CONFIG_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "quant_config.json",
    "quantize_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
)
_HUB_ID = re.compile(
    r"(?P<id>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(/(?P<file>[\w.-]+\.(?i:gguf)))?"
)
# Endings of files: what has one is a path, however much it looks like a hub id.
_FILE_SUFFIXES = (".gguf", ".safetensors", ".sphere", ".json", *task.PICKLE_SUFFIXES)
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ModelSource:
    """A model on this disk: `path` is its folder, or the .gguf, whisper.cpp or image model's file.

    `reference` is what the user gave, `revision` the hub's commit, `name` fits a bundle manifest.
    """

    reference: str
    path: Path
    kind: Kind
    revision: str | None
    name: str

    @property
    def files(self) -> tuple[Path, ...]:
        """The weights, and what else decides how the model behaves."""
        if self.kind == "diffusion":
            return tuple(part.path for part in diffusion.parts(self.path))
        if self.kind == "gguf":
            return tuple(self.path.with_name(name) for name in gguf_parts.names(self.path.name))
        if self.path.is_file():
            return (self.path,)
        shards, index = safetensors_files(self.path)
        extra = [self.path / name for name in CONFIG_FILES if (self.path / name).is_file()]
        return (*shards, *extra)


def open_source(reference: str, wanted: Wanted = ANY, hub: Hub | None = None) -> ModelSource:
    """The model that `reference` means: a path that exists, or a hub id `owner/name[/file.gguf]`.

    `wanted` chooses where a folder holds both formats. Raises NotFoundError, UnsupportedError
    (another task, pickles), InvalidArgumentError (ambiguous), ModelCorruptError, and for hub ids
    UnavailableError and StorageError.
    """
    path = _existing(reference)
    if path is not None:
        if wanted.revision is not None:
            message = f"`{reference}` is on this disk and has no revision `{wanted.revision}`"
            raise InvalidArgumentError(message, hint="a revision belongs to a hub id")
        return _local(reference, path, wanted)
    match = _HUB_ID.fullmatch(reference)
    if match is None or _is_path(match):
        message = f"there is no file or folder `{reference}`"
        hint = "a model on the hub is given as `owner/name`, a file there as `owner/name/file.gguf`"
        raise NotFoundError(message, hint=hint)
    snapshot = model_hub.fetch(match["id"], match["file"], wanted, hub or Hub())
    kind, model = _detect(snapshot.folder, wanted, match["file"])
    name = slug(gguf_parts.stem(match["file"]) if match["file"] else match["id"].split("/")[1])
    return ModelSource(reference, model, kind, snapshot.revision, name)


def _existing(reference: str) -> Path | None:
    """The path that `reference` is, if there is one; an empty reference is not this folder."""
    try:
        path = Path(reference).expanduser()
        return path if reference and path.exists() else None
    except (OSError, ValueError, RuntimeError):
        # Too long for a name, a NUL inside, or the home of a user who has none.
        return None


def _is_path(match: re.Match[str]) -> bool:
    """Whether what looks like a hub id must be a path: of a file, or into a folder that is here."""
    if match["file"] is not None:
        return Path(match["id"]).is_dir()
    return match["id"].lower().endswith(_FILE_SUFFIXES)


def _local(reference: str, path: Path, wanted: Wanted) -> ModelSource:
    if path.is_dir():
        kind, model = _detect(path, wanted, None)
        return ModelSource(reference, model, kind, None, slug(path.resolve().name))
    if not path.is_file():
        # A pipe would be waited for, and has no length.
        message = f"`{reference}` is neither a file nor a folder"
        raise InvalidArgumentError(message, hint="save the model to a file first")
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if wanted.kind is None and _holds_images(path, head):
            return ModelSource(reference, path, "diffusion", None, slug(path.stem))
        found: Kind = "whisper" if head == task.GGML_MAGIC else "gguf"
        if found == "gguf" and head != task.GGUF_MAGIC:
            if path.suffix.lower() == ".safetensors":
                # A damaged one is a part of nothing.
                read_header(path)
            task.refuse_file(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if wanted.kind not in (None, found):
        kind_name = "a GGUF file" if found == "gguf" else "a whisper.cpp file"
        message = f"`{reference}` is {kind_name}, not {wanted.kind}"
        raise InvalidArgumentError(message)
    if found == "gguf":
        first = gguf_parts.paths(path)[0]
        return ModelSource(reference, first, found, None, slug(gguf_parts.stem(path.name)))
    return ModelSource(reference, path, found, None, slug(path.stem))


def _holds_images(path: Path, head: bytes) -> bool:
    is_known = head == task.GGUF_MAGIC or path.suffix.lower() == ".safetensors"
    return is_known and diffusion.is_model(path)


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"`{path}` cannot be read: {error.strerror}")


def _detect(folder: Path, wanted: Wanted, file: str | None) -> tuple[Kind, Path]:
    """The format of the model in `folder` and its path, by the files that are there."""
    if file is not None:
        return "gguf", gguf_parts.paths(folder / file)[0]
    try:
        names = sorted(path.name for path in folder.iterdir() if _is_visible_file(path))
    except OSError as error:
        raise _unreadable(folder, error) from error
    ggufs = [name for name in names if gguf_parts.is_named(name)]
    tensors = [name for name in names if name.endswith((".safetensors", ".safetensors.index.json"))]
    if "bundle.json" in names:
        message = f"`{folder}` is a bundle already"
        raise InvalidArgumentError(message, hint=f"run it: sphere-edge run {folder}")
    if wanted.kind is None and _is_image_folder(folder, names):
        return "diffusion", folder
    task.refuse_if_not_text(folder, folder.name)
    if ggufs and (wanted.kind == "gguf" or (wanted.kind is None and not tensors)):
        return "gguf", folder / _only(ggufs, folder)
    if tensors and task.is_whisper(folder):
        return "whisper", folder
    if tensors and (wanted.kind != "gguf" or wanted.is_convertible):
        files, _ = safetensors_files(folder)
        if "config.json" not in names:
            # What nothing tells apart may be cut off; that comes before all else.
            for path in files:
                read_header(path)
        return "safetensors", folder
    raise _nothing(folder, names, wanted.kind)


def _is_visible_file(path: Path) -> bool:
    # `._model.safetensors` and the like are notes of a file system about the file, never the file.
    return not path.name.startswith(".") and path.is_file()


def _is_image_folder(folder: Path, names: list[str]) -> bool:
    """Whether it is one of diffusers, or holds the parts of an image model side by side."""
    if "model_index.json" in names:
        return True
    parts = [name for name in names if name.lower().endswith((".safetensors", ".gguf"))]
    return "config.json" not in names and any(diffusion.is_model(folder / name) for name in parts)


def _only(ggufs: list[str], folder: Path) -> str:
    """The one GGUF model in `folder`, of a split one the first part."""
    found = gguf_parts.models(ggufs)
    if len(found) > 1:
        # Beside a model lie its image part, its importance matrix, adapters.
        found = [names for names in found if gguf.aside(folder / names[0]) is None] or found
    if len(found) > 1:
        first = [names[0] for names in found]
        message = f"`{folder}` holds {len(found)} GGUF models: {', '.join(first[:12])}"
        raise InvalidArgumentError(message, hint=f"give one of the files: {folder / first[0]}")
    return gguf_parts.paths(folder / found[0][0])[0].name


def _nothing(
    folder: Path, names: list[str], wanted: Kind | None
) -> InvalidArgumentError | NotFoundError | UnsupportedError:
    """Why `names` are not a model in the requested format."""
    held = {"gguf": ".gguf", "safetensors": ".safetensors"}
    for kind, suffix in held.items():
        if wanted not in (None, kind) and any(name.lower().endswith(suffix) for name in names):
            message = f"`{folder}` holds {kind}, but no {wanted}"
            return InvalidArgumentError(
                message, hint=f"leave out --format, or give --format {kind}"
            )
    pickles = task.pickles(names)
    if pickles:
        message = (
            f"`{folder}` holds only pickles ({pickles[0]}), which run code when they are loaded"
        )
        return UnsupportedError(message, hint=task.CONVERT_HINT)
    message = f"there is no model in `{folder}`"
    return NotFoundError(message, hint="a model is *.safetensors with a config.json, or a *.gguf")


def slug(text: str) -> str:
    """`text` as a bundle name: lower case, all but letters, digits, `.`, `_` and `-` made `-`."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).lstrip("._-")
    return name[:96].rstrip("-") or "model"


def source_sha256(source: ModelSource) -> str:
    """The sha256 over the names and contents of a model's files, the same in any folder.

    Reads all of them. Raises StorageError if one cannot be read.
    """
    whole = hashlib.sha256()
    for path in sorted(source.files, key=lambda path: path.name):
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while block := file.read(_CHUNK_BYTES):
                    digest.update(block)
        except OSError as error:
            raise _unreadable(path, error) from error
        # A single file is known by its content alone: people rename them.
        name = "" if source.path.is_file() else path.name
        whole.update(f"{name}\0{digest.hexdigest()}\n".encode())
    return whole.hexdigest()
