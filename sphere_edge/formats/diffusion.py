"""Finds the parts of an image model: whole checkpoints, diffusers folders, folders of single parts.

By the names and shapes of tensors in the files' headers, never by the files' own names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sphere_edge.errors import ModelCorruptError, NotFoundError, SphereEdgeError, UnsupportedError
from sphere_edge.formats import diffusers, finite, gguf
from sphere_edge.formats.diffusion_part import (
    DIFFUSERS_UNET,
    TEXT_ENCODERS,
    Part,
    clip_of,
    prefix_of,
)
from sphere_edge.formats.safetensors import TensorEntry, read_header
from sphere_edge.formats.task import GGUF_MAGIC

_SUFFIXES = (".safetensors", ".gguf")
# What only a diffusion model has: of UNets and of transformers, in the names of several trainers.
_DIFFUSION_MARKS = (
    "input_blocks.0.",
    "down_blocks.0.",
    "double_blocks.0.",
    "joint_blocks.0.",
    "transformer_blocks.0.",
    "cap_embedder.",
    "adaLN_sa_ln",
    "double_stream_modulation_img",
)
# A VAE has down_blocks, too.
_OTHER_PARTS = ("encoder.", "decoder.", "vae.", "first_stage_model.")
_WHOLE_MARKS = ("first_stage_model.", "vae.decoder.")

Shapes = Mapping[str, tuple[int, ...]]


class Stored(NamedTuple):
    """A tensor as stored in its file: `shape` with the slowest axis first."""

    shape: tuple[int, ...]
    bytes: int


def is_diffusion(names: Iterable[str]) -> bool:
    """Whether tensor `names` are those of a diffusion model or of a whole checkpoint with one."""
    return any(
        name.startswith("model.diffusion_model.") or _starts(name, _DIFFUSION_MARKS)
        for name in names
        if not name.startswith(_OTHER_PARTS)
    )


def parts(path: Path) -> tuple[Part, ...]:
    """The parts of the model at `path`, a file or a folder, the diffusion model first.

    Raises ModelCorruptError (a part is missing, there twice or damaged), UnsupportedError (one that
    no image model has), NotFoundError.
    """
    if diffusers.is_folder(path):
        return diffusers.parts(path)
    files = [path] if path.is_file() else _model_files(path)
    if not files:
        message = f"there is no image model in `{path}`"
        raise NotFoundError(message, hint="its parts are .safetensors or .gguf files")
    found = [_part(file, shapes(file)) for file in files]
    if len(found) == 1 and found[0].kind == "checkpoint":
        return (found[0],)
    _check(found, path)
    is_unet = any(part.is_unet for part in found)
    named = [Part(part.kind, part.path, _prefix(part, is_unet), part.is_unet) for part in found]
    return tuple(sorted(named, key=lambda part: part.kind != "diffusion_model"))


def shapes(path: Path) -> Shapes:
    """Names and shapes of the tensors in a file, the slowest axis first; headers only."""
    return {name: stored.shape for name, stored in tensors(path).items()}


def tensors(path: Path) -> Mapping[str, Stored]:
    """The tensors in a file; headers only."""
    with path.open("rb") as file:
        is_gguf = file.read(4) == GGUF_MAGIC
    if is_gguf:
        found = _gguf(path).values()
        return {one.name: Stored(tuple(reversed(one.shape)), one.bytes) for one in found}
    return {entry.name: Stored(entry.shape, entry.bytes) for entry in read_header(path)}


# Masks hold minus infinity, and schedules (names without a dot) may; no engine reads either.
_NOT_WEIGHTS = ("attn_mask", "causal_mask")


def check_finite(path: Path) -> Iterator[int]:
    """As `finite.check`, of the weights in a file."""
    with path.open("rb") as file:
        is_gguf = file.read(4) == GGUF_MAGIC
    found: Iterable[gguf.GgufTensor | TensorEntry] = (
        _gguf(path).values() if is_gguf else read_header(path)
    )
    weights = [
        finite.Stored(one.name, one.dtype.lower(), one.offset, one.bytes)
        for one in found
        if "." in one.name and not one.name.endswith(_NOT_WEIGHTS)
    ]
    return finite.check(path, weights)


def _gguf(path: Path) -> Mapping[str, gguf.GgufTensor]:
    # Files of stable-diffusion.cpp name no architecture.
    return gguf.read(path, needs_architecture=False).tensors


def _model_files(folder: Path) -> list[Path]:
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    visible = [path for path in inside if path.is_file() and not path.name.startswith(".")]
    return [path for path in visible if path.suffix.lower() in _SUFFIXES]


def _part(path: Path, tensors: Shapes) -> Part:
    has: Callable[[str], bool] = lambda mark: any(mark in name for name in tensors)  # noqa: E731
    if is_diffusion(tensors):
        if any(name.startswith(_WHOLE_MARKS) for name in tensors):
            return Part("checkpoint", path, "")
        is_unet = has("input_blocks.0.") or has("down_blocks.0.")
        return Part("diffusion_model", path, "", is_unet)
    clip = next((s for name, s in tensors.items() if name.endswith("token_embedding.weight")), None)
    if clip is not None:
        return Part(clip_of(clip[-1]), path, "")
    if has("SelfAttention.q.weight") or has("enc.blk.0."):
        return Part("t5xxl", path, "")
    if has("embed_tokens.weight") or has("token_embd.weight"):
        return Part("llm", path, "")
    if has("decoder.conv_in.weight") or has("decoder.conv1.weight") or has("decoder.middle."):
        return Part("vae", path, "")
    message = f"`{path.name}` is not a known part of an image model"
    raise UnsupportedError(message, hint="take it out of the folder")


def _check(found: list[Part], path: Path) -> None:
    kinds = [part.kind for part in found]
    for kind in set(kinds):
        shards = [part.path.name for part in found if part.kind == kind]
        if len(shards) > 1 and not all("-of-" in name for name in shards):
            message = f"`{path}` holds several parts of the kind {kind}: {', '.join(shards[:6])}"
            raise ModelCorruptError(message, hint="leave one of them in the folder")
    missing = [kind for kind in ("diffusion_model", "vae") if kind not in kinds]
    if not any(kind in kinds for kind in TEXT_ENCODERS):
        missing.append("text encoder")
    if missing:
        message = f"`{path.name}` lacks a part of an image model: {', '.join(missing)}"
        hint = "put diffusion model, VAE and text encoders into one folder"
        raise ModelCorruptError(message, hint=hint)


def _prefix(part: Part, is_unet: bool) -> str:
    if part.kind == "diffusion_model":
        with_prefix = any(name.startswith("model.diffusion_model.") for name in shapes(part.path))
        if with_prefix:
            return ""
        is_diffusers = any(name.startswith("down_blocks.") for name in shapes(part.path))
        return DIFFUSERS_UNET if is_diffusers else prefix_of(part.kind, beside_unet=is_unet)
    return prefix_of(part.kind, beside_unet=is_unet)


def _starts(name: str, marks: tuple[str, ...]) -> bool:
    return any(name.startswith(mark) or f".{mark}" in name for mark in marks)


def is_model(path: Path) -> bool:
    """Whether the file at `path` holds a diffusion model; False also for what is damaged."""
    try:
        return is_diffusion(shapes(path))
    except (SphereEdgeError, OSError):
        return False
