"""What a model is for, by content and never by name alone: text, or what must be refused."""

from __future__ import annotations

from pathlib import Path

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats import json_object, stand_in

GGUF_MAGIC = b"GGUF"
# whisper.cpp's own container, which llama.cpp gave up for GGUF ("ggml" as a little-endian word).
GGML_MAGIC = b"lmgg"
_PICKLE_MAGICS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_ZIP_MAGIC = b"PK\x03\x04"

PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
CONVERT_HINT = (
    "convert it where you trust it: AutoModel.from_pretrained(folder).save_pretrained(new_folder) "
    "of transformers writes safetensors"
)


def refuse_if_not_text(folder: Path, name: str) -> None:
    """Raises UnsupportedError naming the task if `folder` holds no model that we know.

    Looks at diffusers' model_index.json and at adapter_config.json.
    """
    if (folder / "model_index.json").is_file():
        kind = json_object.read(folder / "model_index.json").get("_class_name")
        message = f"`{name}` is an image generation model ({str(kind)[:80]}), not a text model"
        raise UnsupportedError(message, hint="download it and give the folder, without --format")
    if (folder / "config.json").is_file():
        return
    if (folder / "adapter_config.json").is_file():
        message = f"`{name}` is an adapter, not a whole model"
        raise UnsupportedError(
            message, hint="merge it into its base model first (peft: merge_and_unload)"
        )


def is_whisper(folder: Path) -> bool:
    """Whether `folder` holds a Whisper checkpoint, by its config.json."""
    path = folder / "config.json"
    return path.is_file() and json_object.read(path).get("model_type") == "whisper"


def refuse_file(path: Path) -> None:
    """Raises the reason why a single file that is not GGUF is not supported."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(_PICKLE_MAGICS) or (
        head.startswith(_ZIP_MAGIC) and _is_pickle_name(path.name)
    ):
        message = f"`{path.name}` is a pickle, which runs code when it is loaded"
        raise UnsupportedError(message, hint=CONVERT_HINT)
    suffix = path.suffix.lower()
    if suffix == ".gguf":
        instead = stand_in.named(head)
        why = "" if instead is None else f": {instead}"
        message = f"`{path.name}` does not begin as a GGUF file does{why}"
        raise ModelCorruptError(message, hint="download the file again")
    if suffix == ".safetensors" or path.name.endswith(".safetensors.index.json"):
        message = f"`{path.name}` is a part of a model"
        raise UnsupportedError(message, hint=f"give its folder: {path.parent}")
    message = f"`{path.name}` is not a supported model format"
    raise UnsupportedError(message, hint="a folder with safetensors, a .gguf file or a hub id is")


def _is_pickle_name(name: str) -> bool:
    return name.endswith(PICKLE_SUFFIXES)


def pickles(names: list[str]) -> list[str]:
    """The weight files among `names` that are pickles by their ending."""
    return [name for name in names if _is_pickle_name(name) and name != "training_args.bin"]
