"""A Mamba of random weights as a GGUF file: a model that cannot go back to an earlier token."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from tests.random_gguf import byte_characters

_HIDDEN = 32
_INNER, _STATE, _CONVOLUTION, _RANK = 64, 8, 4, 4


def write(
    path: Path, *, layers: int = 2, context: int = 512, seed: int = 3, heads: int = 0
) -> Path:
    """Writes the file; the same arguments give the same bytes.

    `heads`: of attention, of which there is none; converters write 0 or 1.
    """
    tokens = [*byte_characters(), "th", "the", "<|end|>"]
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_name("random mamba")
    writer.add_context_length(context)
    writer.add_embedding_length(_HIDDEN)
    writer.add_feed_forward_length(0)
    writer.add_head_count(heads)
    writer.add_block_count(layers)
    writer.add_ssm_conv_kernel(_CONVOLUTION)
    writer.add_ssm_inner_size(_INNER)
    writer.add_ssm_state_size(_STATE)
    writer.add_ssm_time_step_rank(_RANK)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_token_types([*[normal] * (len(tokens) - 1), control])
    writer.add_token_merges(["t h", "th e"])
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)
    random = np.random.default_rng(seed)

    def add(name: str, *shape: int) -> None:
        numbers = random.standard_normal(shape, np.float32)
        writer.add_tensor(name, numbers * np.float32(shape[-1] ** -0.5))

    add("token_embd.weight", len(tokens), _HIDDEN)
    for layer in range(layers):
        prefix = f"blk.{layer}."
        add(f"{prefix}attn_norm.weight", _HIDDEN)
        add(f"{prefix}ssm_in.weight", 2 * _INNER, _HIDDEN)
        add(f"{prefix}ssm_conv1d.weight", _INNER, _CONVOLUTION)
        add(f"{prefix}ssm_conv1d.bias", _INNER)
        add(f"{prefix}ssm_x.weight", _RANK + 2 * _STATE, _INNER)
        add(f"{prefix}ssm_dt.weight", _INNER, _RANK)
        add(f"{prefix}ssm_dt.bias", _INNER)
        writer.add_tensor(f"{prefix}ssm_a", -np.ones((_INNER, _STATE), np.float32))
        writer.add_tensor(f"{prefix}ssm_d", np.ones(_INNER, np.float32))
        add(f"{prefix}ssm_out.weight", _HIDDEN, _INNER)
    writer.add_tensor("output_norm.weight", np.ones(_HIDDEN, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
