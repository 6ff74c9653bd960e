"""A Qwen2-shaped model with random weights, as a safetensors folder and as a GGUF in Q4_0."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from sphere_edge.formats.safetensors import Checkpoint, Writer
from sphere_edge.formats.tokenizer import write_vocabulary
from sphere_edge.resources import tiny_model

_SEED = 1
_NORMS = ("input_layernorm", "post_attention_layernorm")
# Names of the matrices of a layer in safetensors and in GGUF.
_MATRICES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@dataclass(frozen=True)
class Sizes:
    """The shape of the model; the default has 0.39 billion parameters."""

    hidden: int = 896
    intermediate: int = 4864
    layers: int = 24
    heads: int = 14
    kv_heads: int = 2
    vocabulary: int = 32000
    context: int = 4096

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor of the checkpoint."""
        kv = self.hidden // self.heads * self.kv_heads
        out = {
            "q": self.hidden,
            "k": kv,
            "v": kv,
            "o": self.hidden,
            "gate": self.intermediate,
            "up": self.intermediate,
            "down": self.hidden,
        }
        shapes: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (self.vocabulary, self.hidden),
            "model.norm.weight": (self.hidden,),
        }
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}."
            shapes |= {f"{prefix}{name}.weight": (self.hidden,) for name in _NORMS}
            for name in _MATRICES:
                rows = out[name.split(".")[1].removesuffix("_proj")]
                columns = self.intermediate if name.endswith("down_proj") else self.hidden
                shapes[f"{prefix}{name}.weight"] = (rows, columns)
                if name[-6:-5] in "qkv":
                    shapes[f"{prefix}{name}.bias"] = (rows,)
        return shapes


def write_safetensors(folder: Path, sizes: Sizes) -> None:
    """Config, tokenizer (that of the built-in tiny model) and float16 weights."""
    folder.mkdir(parents=True)
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.intermediate,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv_heads,
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.context,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "torch_dtype": "float16",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(tiny_model() / name, folder / name)
    random = np.random.default_rng(_SEED)
    shapes = sizes.shapes()
    tensors = [(name, "float16", shape) for name, shape in shapes.items()]
    with Writer(folder / "model.safetensors", tensors) as writer:
        for name, shape in shapes.items():
            writer.write(name, _numbers(random, name, shape))


def _numbers(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if "norm" in name:
        return np.ones(shape, np.float16)
    if name.endswith(".bias"):
        return np.zeros(shape, np.float16)
    numbers = random.standard_normal(shape, np.float32) / np.float32(np.sqrt(shape[-1]))
    return numbers.astype(np.float16)


def write_gguf(folder: Path, sizes: Sizes, out: Path) -> None:
    """The same weights as Q4_0, the embedding too, and the same vocabulary."""
    writer = gguf.GGUFWriter(out, "qwen2")
    writer.add_context_length(sizes.context)
    writer.add_embedding_length(sizes.hidden)
    writer.add_block_count(sizes.layers)
    writer.add_feed_forward_length(sizes.intermediate)
    writer.add_head_count(sizes.heads)
    writer.add_head_count_kv(sizes.kv_heads)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(sizes.vocabulary)
    _add_vocabulary(writer, folder)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    checkpoint = Checkpoint.open(folder)
    for name in checkpoint.tensors:
        tensor = checkpoint.read(name)
        if tensor.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q4_0
            writer.add_tensor(_gguf_name(name), gguf.quants.quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(_gguf_name(name), tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        made = Path(work) / "tokenizer.gguf"
        write_vocabulary(folder, made)
        for name, field in gguf.GGUFReader(made).fields.items():
            if name.startswith("tokenizer."):
                kind, *inner = field.types
                writer.add_key_value(name, field.contents(), kind, *inner[:1])


def _gguf_name(name: str) -> str:
    fixed = {"model.embed_tokens.weight": "token_embd.weight"}
    fixed["model.norm.weight"] = "output_norm.weight"
    if name in fixed:
        return fixed[name]
    _, _, layer, *middle, kind = name.split(".")
    names = _MATRICES | {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    return f"blk.{layer}.{names['.'.join(middle)]}.{kind}"
