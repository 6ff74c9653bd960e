"""Models of random weights that cannot go back to an earlier token, as GGUF files.

Mamba and RWKV keep one state for all that they have read; Jamba has attention in every other layer
as well. Names and shapes are those of llama.cpp's `src/models/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np

from tests.random_gguf import MERGES, SPECIAL, TEMPLATE, byte_characters

HIDDEN = 64
_FEED_FORWARD = 96
_VOCABULARY = [*byte_characters(), "th", "the", *SPECIAL]
# Of Mamba: inner is twice HIDDEN, which Jamba demands; of Mamba 2 each head has its own step.
_INNER, _STATE, _CONVOLUTION, _STEP_RANK, _GROUPS = 128, 16, 4, 8, 2
# Of RWKV: heads, and the ranks of its small matrices. ggml's kernels know heads of 64 only.
_HEAD, _MIX, _DECAY = 64, 16, 24
_HEADS, _KV_HEADS = 4, 2

# A name, its shape, and what the numbers are: matrix, ones, zeros, decay (minus one).
Tensor = tuple[str, tuple[int, ...], str]


def _mamba(layer: int) -> Iterator[Tensor]:
    yield "attn_norm.weight", (HIDDEN,), "ones"
    yield "ssm_in.weight", (2 * _INNER, HIDDEN), "matrix"
    yield "ssm_conv1d.weight", (_INNER, _CONVOLUTION), "matrix"
    yield "ssm_conv1d.bias", (_INNER,), "matrix"
    yield "ssm_x.weight", (_STEP_RANK + 2 * _STATE, _INNER), "matrix"
    yield "ssm_dt.weight", (_INNER, _STEP_RANK), "matrix"
    yield "ssm_dt.bias", (_INNER,), "matrix"
    yield "ssm_a", (_INNER, _STATE), "decay"
    yield "ssm_d", (_INNER,), "ones"
    yield "ssm_out.weight", (HIDDEN, _INNER), "matrix"


def _mamba2(layer: int) -> Iterator[Tensor]:
    convolved = _INNER + 2 * _GROUPS * _STATE
    yield "attn_norm.weight", (HIDDEN,), "ones"
    yield "ssm_in.weight", (_INNER + convolved + _STEP_RANK, HIDDEN), "matrix"
    yield "ssm_conv1d.weight", (convolved, _CONVOLUTION), "matrix"
    yield "ssm_conv1d.bias", (convolved,), "matrix"
    yield "ssm_dt.bias", (_STEP_RANK,), "matrix"
    yield "ssm_a", (_STEP_RANK, 1), "decay"
    yield "ssm_d", (_STEP_RANK, 1), "ones"
    yield "ssm_norm.weight", (_GROUPS, _INNER // _GROUPS), "ones"
    yield "ssm_out.weight", (HIDDEN, _INNER), "matrix"


def _jamba(layer: int) -> Iterator[Tensor]:
    if layer % 2 == 0:
        yield from _mamba(layer)
        yield "ssm_dt_norm.weight", (_STEP_RANK,), "ones"
        yield "ssm_b_norm.weight", (_STATE,), "ones"
        yield "ssm_c_norm.weight", (_STATE,), "ones"
    else:
        yield "attn_norm.weight", (HIDDEN,), "ones"
        yield "attn_q.weight", (HIDDEN, HIDDEN), "matrix"
        yield "attn_k.weight", (HIDDEN // _HEADS * _KV_HEADS, HIDDEN), "matrix"
        yield "attn_v.weight", (HIDDEN // _HEADS * _KV_HEADS, HIDDEN), "matrix"
        yield "attn_output.weight", (HIDDEN, HIDDEN), "matrix"
    yield "ffn_norm.weight", (HIDDEN,), "ones"
    yield "ffn_gate.weight", (_FEED_FORWARD, HIDDEN), "matrix"
    yield "ffn_up.weight", (_FEED_FORWARD, HIDDEN), "matrix"
    yield "ffn_down.weight", (HIDDEN, _FEED_FORWARD), "matrix"


def _rwkv(layer: int) -> Iterator[Tensor]:
    """What both versions have."""
    if layer == 0:
        yield "token_embd_norm.weight", (HIDDEN,), "ones"
        yield "token_embd_norm.bias", (HIDDEN,), "zeros"
    for norm in ("attn_norm", "attn_norm_2", "time_mix_ln"):
        yield f"{norm}.weight", (HIDDEN,), "ones"
        yield f"{norm}.bias", (HIDDEN,), "zeros"
    for matrix in ("key", "value", "receptance", "output"):
        yield f"time_mix_{matrix}.weight", (HIDDEN, HIDDEN), "matrix"
    yield "channel_mix_lerp_k.weight", (1, 1, HIDDEN), "matrix"
    yield "channel_mix_key.weight", (_FEED_FORWARD, HIDDEN), "matrix"
    yield "channel_mix_value.weight", (HIDDEN, _FEED_FORWARD), "matrix"


def _rwkv6(layer: int) -> Iterator[Tensor]:
    yield from _rwkv(layer)
    yield "time_mix_w1.weight", (5 * _MIX, HIDDEN), "matrix"
    yield "time_mix_w2.weight", (5, HIDDEN, _MIX), "matrix"
    yield "time_mix_lerp_x.weight", (1, 1, HIDDEN), "matrix"
    yield "time_mix_lerp_fused.weight", (5, 1, 1, HIDDEN), "matrix"
    yield "time_mix_first.weight", (HIDDEN // _HEAD, _HEAD), "matrix"
    yield "time_mix_decay.weight", (HIDDEN,), "decay"
    yield "time_mix_decay_w1.weight", (_DECAY, HIDDEN), "matrix"
    yield "time_mix_decay_w2.weight", (HIDDEN, _DECAY), "matrix"
    yield "time_mix_gate.weight", (HIDDEN, HIDDEN), "matrix"
    yield "channel_mix_lerp_r.weight", (1, 1, HIDDEN), "matrix"
    yield "channel_mix_receptance.weight", (HIDDEN, HIDDEN), "matrix"


def _rwkv7(layer: int) -> Iterator[Tensor]:
    yield from _rwkv(layer)
    for name, rank in (("w", _DECAY), ("a", _MIX), ("v", _MIX)):
        yield f"time_mix_{name}0.weight", (HIDDEN,), "matrix"
        yield f"time_mix_{name}1.weight", (rank, HIDDEN), "matrix"
        yield f"time_mix_{name}2.weight", (HIDDEN, rank), "matrix"
    yield "time_mix_g1.weight", (_MIX, HIDDEN), "matrix"
    yield "time_mix_g2.weight", (HIDDEN, _MIX), "matrix"
    yield "time_mix_lerp_fused.weight", (6, 1, 1, HIDDEN), "matrix"
    for name in ("k_k", "k_a", "r_k"):
        yield f"time_mix_{name}.weight", (HIDDEN,), "matrix"


ARCHITECTURES = {
    "mamba": _mamba,
    "mamba2": _mamba2,
    "jamba": _jamba,
    "rwkv6": _rwkv6,
    "rwkv7": _rwkv7,
}


def _add_sizes(writer: gguf.GGUFWriter, architecture: str, layers: int) -> None:
    if architecture.startswith("rwkv"):
        writer.add_wkv_head_size(_HEAD)
        writer.add_token_shift_count(2)
        writer.add_layer_norm_eps(1e-5)
    else:
        writer.add_ssm_conv_kernel(_CONVOLUTION)
        writer.add_ssm_inner_size(_INNER)
        writer.add_ssm_state_size(_STATE)
        writer.add_ssm_time_step_rank(_STEP_RANK)
        writer.add_layer_norm_rms_eps(1e-5)
    if architecture == "mamba2":
        writer.add_ssm_group_count(_GROUPS)
    if architecture == "rwkv6":
        writer.add_time_mix_extra_dim(_MIX)
        writer.add_time_decay_extra_dim(_DECAY)
    if architecture == "rwkv7":
        writer.add_decay_lora_rank(_DECAY)
        writer.add_iclr_lora_rank(_MIX)
        writer.add_value_residual_mix_lora_rank(_MIX)
        writer.add_gate_lora_rank(_MIX)
    if architecture == "jamba":
        writer.add_head_count_kv([0 if layer % 2 == 0 else _KV_HEADS for layer in range(layers)])


def write(
    path: Path, *, architecture: str = "mamba", layers: int = 2, context: int = 512, heads: int = 0
) -> Path:
    """Writes the file; the same arguments give the same bytes.

    `architecture`: one of ARCHITECTURES. `heads`: of attention, where there is none; converters
    write 0 or 1.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(f"random {architecture}")
    writer.add_context_length(context)
    writer.add_embedding_length(HIDDEN)
    has_feed_forward = not architecture.startswith("mamba")
    writer.add_feed_forward_length(_FEED_FORWARD if has_feed_forward else 0)
    writer.add_head_count(_HEADS if architecture == "jamba" else heads)
    writer.add_block_count(layers)
    _add_sizes(writer, architecture, layers)
    writer.add_vocab_size(len(_VOCABULARY))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(_VOCABULARY)
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_token_types([control if token in SPECIAL else normal for token in _VOCABULARY])
    writer.add_token_merges(list(MERGES))
    writer.add_eos_token_id(_VOCABULARY.index("<|end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    random = np.random.default_rng(3)

    def add(name: str, shape: tuple[int, ...], kind: str) -> None:
        values = {
            "ones": np.ones(shape, np.float32),
            "zeros": np.zeros(shape, np.float32),
            "decay": -np.ones(shape, np.float32),
        }
        numbers = random.standard_normal(shape, np.float32) * np.float32(shape[-1] ** -0.5)
        writer.add_tensor(name, values.get(kind, numbers))

    add("token_embd.weight", (len(_VOCABULARY), HIDDEN), "matrix")
    for layer in range(layers):
        for name, shape, kind in ARCHITECTURES[architecture](layer):
            # The norm of the embeddings is the model's, and counted among the tensors of no layer.
            whole = name if name.startswith("token_embd") else f"blk.{layer}.{name}"
            add(whole, shape, kind)
    add("output_norm.weight", (HIDDEN,), "ones")
    if architecture.startswith("rwkv"):
        add("output_norm.bias", (HIDDEN,), "zeros")
        add("output.weight", (len(_VOCABULARY), HIDDEN), "matrix")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
