"""BERT encoders for tests of embeddings: as GGUF, and by the formulas of their papers in numpy.

Devlin et al. 2018 (https://arxiv.org/abs/1810.04805), with the names of transformers' `BertModel`.
Nussbaum et al. 2024 (https://arxiv.org/abs/2402.01613): nomic has rotary positions, a gated MLP and
no biases but those of norms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_NORM_EPSILON = 1e-12
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_GATE = "intermediate.gate"
_ROPE_BASE = 1000.0
_TEXT_TOKENS = 64


@dataclass(frozen=True)
class Bert:
    """An encoder: its tensors by transformers' names, and its WordPiece vocabulary in order."""

    tensors: Mapping[str, Floats]
    words: list[str]
    heads: int

    @property
    def layers(self) -> int:
        """Their number."""
        return sum(name.endswith(".intermediate.dense.weight") for name in self.tensors)

    @property
    def hidden(self) -> int:
        """Numbers of a vector."""
        return int(self.tensors["embeddings.word_embeddings.weight"].shape[1])

    @property
    def is_nomic(self) -> bool:
        """Whether positions are rotations."""
        return "embeddings.position_embeddings.weight" not in self.tensors

    @property
    def positions(self) -> int:
        """Tokens of the longest text."""
        if self.is_nomic:
            return _TEXT_TOKENS
        return int(self.tensors["embeddings.position_embeddings.weight"].shape[0])


def random_nomic() -> Bert:
    """A small nomic of random weights."""
    plain = random(5)
    tensors = {
        name: tensor
        for name, tensor in plain.tensors.items()
        if "position" not in name and ("Norm" in name or not name.endswith(".bias"))
    }
    for layer in range(plain.layers):
        prefix = f"encoder.layer.{layer}."
        up = tensors[f"{prefix}intermediate.dense.weight"]
        tensors[f"{prefix}{_GATE}.weight"] = np.ascontiguousarray(up[::-1])
    return Bert(tensors, plain.words, plain.heads)


def random(seed: int = 3, positions: int = _TEXT_TOKENS, more_words: Sequence[str] = ()) -> Bert:
    """A small one of random weights."""
    numbers = np.random.default_rng(seed)
    words = [*SPECIAL, *"abcdefghijklmnopqrstuvwxyz.", *(f"##{one}" for one in "aeinorst"), "sky"]
    words += more_words
    hidden, wide, layers = 64, 128, 2

    def floats(*shape: int) -> Floats:
        return (numbers.standard_normal(shape) * 2 / shape[-1] ** 0.5).astype(np.float32)

    tensors = {
        "embeddings.word_embeddings.weight": floats(len(words), hidden),
        "embeddings.position_embeddings.weight": floats(positions, hidden),
        "embeddings.token_type_embeddings.weight": floats(2, hidden),
        "embeddings.LayerNorm.weight": 1 + floats(hidden),
        "embeddings.LayerNorm.bias": floats(hidden),
    }
    for layer in range(layers):
        for name in _LAYER:
            rows = wide if name == "intermediate.dense" else hidden
            columns = wide if name == "output.dense" else hidden
            weight = 1 + floats(hidden) if name.endswith("Norm") else floats(rows, columns)
            tensors[f"encoder.layer.{layer}.{name}.weight"] = weight
            tensors[f"encoder.layer.{layer}.{name}.bias"] = floats(rows)
    return Bert(tensors, words, heads=4)


def write(bert: Bert, path: Path, pooling: gguf.PoolingType = gguf.PoolingType.MEAN) -> Path:
    """Writes it as llama.cpp reads it, in float32."""
    writer = gguf.GGUFWriter(path, "nomic-bert" if bert.is_nomic else "bert")
    writer.add_name("bert")
    writer.add_context_length(bert.positions)
    writer.add_embedding_length(bert.hidden)
    writer.add_block_count(bert.layers)
    writer.add_feed_forward_length(
        bert.tensors["encoder.layer.0.intermediate.dense.weight"].shape[0]
    )
    writer.add_head_count(bert.heads)
    writer.add_layer_norm_eps(_NORM_EPSILON)
    writer.add_causal_attention(False)
    if bert.is_nomic:
        writer.add_rope_freq_base(_ROPE_BASE)
    writer.add_pooling_type(pooling)
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    # Words begin with U+2581 there, and continuations with nothing.
    phantom = [
        word
        if word in SPECIAL
        else word[2:]
        if word.startswith("##")
        else "\N{LOWER ONE EIGHTH BLOCK}" + word
        for word in bert.words
    ]
    writer.add_token_list(phantom)
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_token_types([control if word in SPECIAL else normal for word in bert.words])
    ids = {word: bert.words.index(word) for word in SPECIAL}
    writer.add_bos_token_id(ids["[CLS]"])
    writer.add_sep_token_id(ids["[SEP]"])
    writer.add_unk_token_id(ids["[UNK]"])
    writer.add_pad_token_id(ids["[PAD]"])
    writer.add_mask_token_id(ids["[MASK]"])
    for ours, theirs in (
        ("embeddings.word_embeddings.weight", "token_embd.weight"),
        ("embeddings.position_embeddings.weight", "position_embd.weight"),
        ("embeddings.token_type_embeddings.weight", "token_types.weight"),
        ("embeddings.LayerNorm.weight", "token_embd_norm.weight"),
        ("embeddings.LayerNorm.bias", "token_embd_norm.bias"),
    ):
        if ours in bert.tensors:
            writer.add_tensor(theirs, bert.tensors[ours])
    for layer in range(bert.layers):
        for ours, theirs in (*_LAYER.items(), (_GATE, "ffn_gate")):
            for kind in ("weight", "bias"):
                tensor = bert.tensors.get(f"encoder.layer.{layer}.{ours}.{kind}")
                if tensor is not None:
                    writer.add_tensor(f"blk.{layer}.{theirs}.{kind}", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def hidden_states(bert: Bert, ids: list[int]) -> Floats:
    """The last layer's vector of each token: float32 [n, hidden]."""
    tensors = bert.tensors
    x = (
        tensors["embeddings.word_embeddings.weight"][ids]
        + tensors["embeddings.token_type_embeddings.weight"][0]
    )
    if not bert.is_nomic:
        x = x + tensors["embeddings.position_embeddings.weight"][: len(ids)]
    x = _norm(bert, "embeddings.LayerNorm", x)
    for layer in range(bert.layers):
        prefix = f"encoder.layer.{layer}."
        q, k, v = (
            _heads(bert, _linear(bert, f"{prefix}attention.self.{name}", x))
            for name in ("query", "key", "value")
        )
        if bert.is_nomic:
            q, k = _rotated(q), _rotated(k)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(np.float32(q.shape[-1]))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = (weights @ v).transpose(1, 0, 2).reshape(x.shape)
        x = _norm(
            bert,
            f"{prefix}attention.output.LayerNorm",
            x + _linear(bert, f"{prefix}attention.output.dense", mixed),
        )
        wide = _linear(bert, f"{prefix}intermediate.dense", x)
        if bert.is_nomic:
            gate = _linear(bert, f"{prefix}{_GATE}", x)
            wide = np.asarray(gate / (1 + np.exp(-gate)) * wide)
        else:
            wide = _gelu(wide)
        x = _norm(
            bert, f"{prefix}output.LayerNorm", x + _linear(bert, f"{prefix}output.dense", wide)
        )
    return x


def _linear(bert: Bert, name: str, x: Floats) -> Floats:
    y = x @ bert.tensors[f"{name}.weight"].T
    bias = bert.tensors.get(f"{name}.bias")
    return np.asarray(y if bias is None else y + bias)


def _rotated(x: Floats) -> Floats:
    """Each head's halves [heads, n, width] as coordinates, turned by their position (Su et al.)."""
    half = x.shape[-1] // 2
    angles = np.outer(np.arange(x.shape[1]), _ROPE_BASE ** (-np.arange(half) / half))
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = x[..., :half], x[..., half:]
    turned = (first * cos - second * sin, first * sin + second * cos)
    return np.concatenate(turned, axis=-1).astype(np.float32)


def _norm(bert: Bert, name: str, x: Floats) -> Floats:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(_NORM_EPSILON))
    return np.asarray(scaled * bert.tensors[f"{name}.weight"] + bert.tensors[f"{name}.bias"])


def _heads(bert: Bert, x: Floats) -> Floats:
    return x.reshape(len(x), bert.heads, -1).transpose(1, 0, 2)


def _gelu(x: Floats) -> Floats:
    """0.5 x (1 + erf(x / sqrt(2))), with the error function of Abramowitz and Stegun 7.1.26."""
    z = np.abs(x) / np.float32(2**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    erf = np.sign(x) * (1 - series * np.exp(-(z**2)))
    return (0.5 * x * (1 + erf)).astype(np.float32)
