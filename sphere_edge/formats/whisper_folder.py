"""Reads Whisper checkpoints as Hugging Face has them, for writing them in whisper.cpp's format.

Sizes from config.json, words from vocab.json or tokenizer.json (byte-level BPE as GPT-2's), tensors
from safetensors, under the names that OpenAI gave them, which are whisper.cpp's too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats import json_object
from sphere_edge.formats.safetensors import Checkpoint
from sphere_edge.formats.whisper_write import Dimensions, Tensor

_LARGEST_WIDTH, _MOST_LAYERS = 8192, 256
_MEL_BINS = (80, 128)
_AUDIO_POSITIONS, _TEXT_POSITIONS = 1500, 448
# The first special token: what is before it are words.
_END_OF_TEXT = {51864: 50256, 51865: 50257, 51866: 50257}
# Keys whose other values would change numbers, and the value that whisper.cpp computes.
_FIXED: dict[str, Any] = {"activation_function": "gelu", "scale_embedding": False}
_PREFIXES = {
    "encoder.embed_positions.weight": "encoder.positional_embedding",
    "encoder.layer_norm": "encoder.ln_post",
    "decoder.embed_positions.weight": "decoder.positional_embedding",
    "decoder.embed_tokens": "decoder.token_embedding",
    "decoder.layer_norm": "decoder.ln",
}
_PARTS = {
    "self_attn_layer_norm": "attn_ln",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "final_layer_norm": "mlp_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
}
_PROJECTIONS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out"}


@dataclass(frozen=True)
class WhisperFolder:
    """A checkpoint whose sizes and tensors were checked; nothing of its weights is read yet."""

    dimensions: Dimensions
    words: tuple[bytes, ...]
    checkpoint: Checkpoint
    prefix: str

    def tensors(self) -> Iterator[Tensor]:
        """Each tensor as float32 under whisper.cpp's name, one at a time in memory."""
        for name, shape in _shapes(self.dimensions).items():
            numbers = self.checkpoint.read(self.prefix + name)
            yield _renamed(name), numbers.reshape(shape)


def read(folder: Path) -> WhisperFolder:
    """The checkpoint in `folder`, every size compared with every tensor.

    Raises ModelCorruptError: sizes that no Whisper model has, tensors missing, unknown or of
    another shape; UnsupportedError: what whisper.cpp does not compute; NotFoundError.
    """
    dimensions = _dimensions(json_object.read(folder / "config.json"))
    checkpoint = Checkpoint.open(folder)
    # A model without its output layer was saved without this word.
    prefix = "model." if any(name.startswith("model.") for name in checkpoint.tensors) else ""
    expected = _shapes(dimensions)
    for name, shape in expected.items():
        entry = checkpoint.entry(prefix + name)
        if entry.shape != shape:
            message = f"tensor `{entry.name}` is {list(entry.shape)} instead of {list(shape)}"
            raise ModelCorruptError(message)
    # The output layer is the embedding again.
    known = {prefix + name for name in expected} | {"proj_out.weight"}
    for name in checkpoint.tensors:
        if name not in known:
            message = f"a Whisper model has no tensor `{name[:80]}`"
            raise UnsupportedError(message, hint="adapters are merged into their model first")
    return WhisperFolder(dimensions, _words(folder, dimensions), checkpoint, prefix)


def _dimensions(config: dict[str, Any]) -> Dimensions:
    def size(name: str, most: int) -> int:
        value = config.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
            message = f"`{name}` in config.json is `{str(value)[:80]}`"
            raise ModelCorruptError(message, hint=f"it is from 1 to {most}")
        return value

    for name, computed in _FIXED.items():
        if config.get(name, computed) != computed:
            message = f"a Whisper model with `{name}` `{str(config[name])[:80]}` is not computed"
            raise UnsupportedError(message)
    width = size("d_model", _LARGEST_WIDTH)
    found = Dimensions(
        size("vocab_size", 2**20),
        size("max_source_positions", 2**20),
        width,
        size("encoder_attention_heads", width),
        size("encoder_layers", _MOST_LAYERS),
        size("max_target_positions", 2**20),
        width,
        size("decoder_attention_heads", width),
        size("decoder_layers", _MOST_LAYERS),
        size("num_mel_bins", 2**10),
    )
    sound = {
        "vocab_size": found.vocab_size in _END_OF_TEXT,
        "max_source_positions": found.audio_positions == _AUDIO_POSITIONS,
        "max_target_positions": found.text_positions == _TEXT_POSITIONS,
        "num_mel_bins": found.mel_bins in _MEL_BINS,
        "encoder_ffn_dim": config.get("encoder_ffn_dim") == 4 * width,
        "decoder_ffn_dim": config.get("decoder_ffn_dim") == 4 * width,
        "encoder_attention_heads": width % found.audio_heads == 0,
        "decoder_attention_heads": width % found.text_heads == 0,
    }
    for name, is_sound in sound.items():
        if not is_sound:
            message = f"whisper.cpp runs no model whose `{name}` is `{str(config.get(name))[:80]}`"
            raise UnsupportedError(message)
    return found


def _shapes(dimensions: Dimensions) -> dict[str, tuple[int, ...]]:
    """Names, without `model.`, and shapes of all tensors."""
    width = dimensions.audio_width
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, rows: int, columns: int, *, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (rows, columns)
        if bias:
            shapes[f"{name}.bias"] = (rows,)

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    def attention(name: str) -> None:
        norm(f"{name}_layer_norm")
        for part in _PROJECTIONS:
            linear(f"{name}.{part}", width, width, bias=part != "k_proj")

    def block(name: str, *attentions: str) -> None:
        for part in attentions:
            attention(f"{name}.{part}")
        norm(f"{name}.final_layer_norm")
        linear(f"{name}.fc1", 4 * width, width)
        linear(f"{name}.fc2", width, 4 * width)

    for number, inputs in ((1, dimensions.mel_bins), (2, width)):
        shapes[f"encoder.conv{number}.weight"] = (width, inputs, 3)
        shapes[f"encoder.conv{number}.bias"] = (width,)
    shapes["encoder.embed_positions.weight"] = (dimensions.audio_positions, width)
    for i in range(dimensions.audio_layers):
        block(f"encoder.layers.{i}", "self_attn")
    norm("encoder.layer_norm")
    shapes["decoder.embed_tokens.weight"] = (dimensions.vocab_size, width)
    shapes["decoder.embed_positions.weight"] = (dimensions.text_positions, width)
    for i in range(dimensions.text_layers):
        block(f"decoder.layers.{i}", "self_attn", "encoder_attn")
    norm("decoder.layer_norm")
    return shapes


def _renamed(name: str) -> str:
    """`decoder.layers.0.encoder_attn.q_proj.bias` as `decoder.blocks.0.cross_attn.query.bias`."""
    for theirs, ours in _PREFIXES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    match = re.fullmatch(r"(\w+)\.layers\.(\d+)\.([\w.]+)\.(weight|bias)", name)
    if match is None:
        return name
    side, number, part, kind = match.groups()
    if part not in _PARTS:
        attention, projection = part.split(".")
        ours = "attn" if attention == "self_attn" else "cross_attn"
        return f"{side}.blocks.{number}.{ours}.{_PROJECTIONS[projection]}.{kind}"
    return f"{side}.blocks.{number}.{_PARTS[part]}.{kind}"


def _words(folder: Path, dimensions: Dimensions) -> tuple[bytes, ...]:
    """The bytes of each token before the special ones, from where they are written down."""
    path = folder / "vocab.json"
    if path.is_file():
        vocabulary = json_object.read(path)
    else:
        model = json_object.read(folder / "tokenizer.json").get("model")
        vocabulary = model.get("vocab", {}) if isinstance(model, dict) else {}
    if not isinstance(vocabulary, dict):
        vocabulary = {}
    count = _END_OF_TEXT[dimensions.vocab_size]
    # The multilingual vocabulary ends in an empty word.
    words: dict[int, bytes] = {count - 1: b""} if count == 50257 else {}
    letters = {letter: byte for byte, letter in enumerate(_letters())}
    for word, number in vocabulary.items():
        if isinstance(number, int) and 0 <= number < count:
            if any(letter not in letters for letter in word):
                if number in words:
                    continue
                message = f"the word `{word[:40]}` is not made of GPT-2's letters for bytes"
                raise ModelCorruptError(message)
            words[number] = bytes(letters[letter] for letter in word)
    if len(words) != count:
        message = f"the vocabulary has {len(words)} words instead of {count}"
        raise ModelCorruptError(message, hint="download the model again")
    return tuple(words[number] for number in range(count))


def _letters() -> list[str]:
    """GPT-2's letter for each byte: printable ones are themselves."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    letters, following = [], 256
    for byte in range(256):
        letters.append(chr(byte if byte in plain else following))
        following += byte not in plain
    return letters
