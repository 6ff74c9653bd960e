"""An image encoder of random weights as a GGUF file: what a text model of random_gguf sees with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

IMAGE_SIZE = 56
_PATCH = 14
# Tokens of a picture: a token for each patch.
TOKENS = (IMAGE_SIZE // _PATCH) ** 2

_WIDTH = 32
_HEADS = 2
_FEED_FORWARD = 64
_LAYERS = 3


Changed = Callable[[str, npt.NDArray[np.float32]], npt.NDArray[Any] | None]


class _Writer(gguf.GGUFWriter):
    changed: Changed

    def add_tensor(self, name: str, tensor: Any, *words: Any, **named: Any) -> None:
        tensor = self.changed(name, tensor)
        if tensor is not None:
            super().add_tensor(name, tensor, *words, **named)


def write(
    path: Path,
    *,
    embedding_size: int = 64,
    seed: int = 11,
    projector: str = "mlp",
    changes: dict[str, int] | None = None,
    changed: Changed = lambda _, tensor: tensor,
    more: dict[str, tuple[int, ...]] | None = None,
) -> Path:
    """Writes the file; the same arguments give the same bytes.

    `projector`: `mlp`, as LLaVA's, which sees a square of `TOKENS` tokens, or `qwen2vl_merger`,
    which sees pictures in their own shape: a token has a place in it, and takes 28 pixels a side.
    `embedding_size`: of the text model. `changes`: other values of keys below `clip.vision.`.
    `changed`: what is written in place of a tensor of a name; None: nothing. `more`: further
    tensors, by their shapes.
    """
    random = np.random.default_rng(seed)
    writer = _Writer(path, "clip")
    writer.changed = changed
    writer.add_type("mmproj")
    writer.add_name("random-eye")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", projector)
    writer.add_bool("clip.use_gelu", True)
    numbers = {
        "image_size": IMAGE_SIZE,
        "patch_size": _PATCH,
        "embedding_length": _WIDTH,
        "feed_forward_length": _FEED_FORWARD,
        "block_count": _LAYERS,
        "projection_dim": embedding_size,
        "attention.head_count": _HEADS,
    }
    for key, value in {**numbers, **(changes or {})}.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.25, 0.25, 0.25])

    def tensor(name: str, *shape: int) -> None:
        numbers = random.standard_normal(shape, np.float32)
        writer.add_tensor(name, numbers * np.float32(2 / shape[-1] ** 0.5))

    def linear(name: str, rows: int, columns: int) -> None:
        tensor(f"{name}.weight", rows, columns)
        writer.add_tensor(f"{name}.bias", _small(random, rows))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(_WIDTH, np.float32))
        writer.add_tensor(f"{name}.bias", _small(random, _WIDTH))

    merges = projector == "qwen2vl_merger"
    for name in ("v.patch_embd.weight", *(["v.patch_embd.weight.1"] if merges else [])):
        # The sums of a patch are over 588 numbers.
        patches = random.standard_normal((_WIDTH, 3, _PATCH, _PATCH), np.float32)
        writer.add_tensor(name, patches / np.float32(20))
    if merges:
        norm("v.post_ln")
    else:
        tensor("v.position_embd.weight", TOKENS, _WIDTH)
        norm("v.pre_ln")
    for layer in range(_LAYERS):
        prefix = f"v.blk.{layer}."
        norm(f"{prefix}ln1")
        norm(f"{prefix}ln2")
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linear(f"{prefix}{name}", _WIDTH, _WIDTH)
        linear(f"{prefix}ffn_up", _FEED_FORWARD, _WIDTH)
        linear(f"{prefix}ffn_down", _WIDTH, _FEED_FORWARD)
    first, last = (4 * _WIDTH, 4 * _WIDTH) if merges else (_WIDTH, embedding_size)
    linear("mm.0", last, first)
    linear("mm.2", embedding_size, last)
    for name, shape in (more or {}).items():
        tensor(name, *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _small(random: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    return random.standard_normal(count, np.float32) * np.float32(0.1)
