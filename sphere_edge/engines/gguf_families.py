"""How llama.cpp names the tensors and sizes of a family, and what it computes of one.

Names: `LLM_TENSOR_NAMES` and `LLM_KV_NAMES` of llama.cpp's src/llama-arch.cpp; what each
architecture reads: src/models/. What it would compute otherwise than the model means is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.config import ModelConfig, RopeParameters
from sphere_edge.models.registry import Family
from sphere_edge.models.rope import rotation
from sphere_edge.models.shape import Shape

_PRE_NORM = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_SANDWICH = {
    **_PRE_NORM,
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
_FUSED = {**_PRE_NORM, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
_TOP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_QKV = frozenset({"attn_q", "attn_k", "attn_v"})


@dataclass(frozen=True)
class Architecture:
    """What llama.cpp's architecture `name` takes.

    `leaves`: a layer's tensors. `biases`: which may have one. `permutes`: it rotates neighbouring
    features, so rows of q and k are permuted. `scalings`: kinds of RoPE scaling. `square`: heads
    must fill the hidden size. `tied`: it has no head of its own. `slides`: it knows windows.
    """

    name: str
    leaves: Mapping[str, str]
    activation: str = "silu"
    biases: frozenset[str] = frozenset()
    permutes: bool = False
    scalings: tuple[str, ...] = ("default", "dynamic", "linear")
    square: bool = False
    tied: bool = False
    slides: bool = False


_LLAMA = Architecture(
    "llama",
    _PRE_NORM,
    biases=_QKV | {"attn_output", "ffn_gate", "ffn_up", "ffn_down"},
    permutes=True,
    scalings=("default", "dynamic", "linear", "llama3", "yarn"),
)
_GEMMA = Architecture("gemma", _PRE_NORM, activation="gelu_tanh", tied=True)
ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": Architecture("qwen2", _PRE_NORM, biases=_QKV, square=True),
    "qwen3": Architecture("qwen3", _PRE_NORM, biases=_QKV),
    "phi3": Architecture(
        "phi3",
        _FUSED,
        scalings=("default", "dynamic", "linear", "longrope"),
        square=True,
    ),
    "gemma": _GEMMA,
    "gemma2": replace(_GEMMA, name="gemma2", leaves=_SANDWICH, slides=True),
    "gemma3_text": replace(_GEMMA, name="gemma3", leaves=_SANDWICH, slides=True, tied=False),
}


def architecture(made: Family, config: ModelConfig) -> Architecture:
    """The one that computes what `made` means; UnsupportedError naming what none does."""
    if made.name not in ARCHITECTURES:
        message = f"the family `{made.name}` cannot be written as a GGUF"
        raise UnsupportedError(message, hint=f"these can: {', '.join(ARCHITECTURES)}")
    known, settings, shape = ARCHITECTURES[made.name], made.config, made.config.shape
    rope = _rope(made, config)
    odd = {
        f"the activation `{settings.activation}`": settings.activation != known.activation,
        f"the RoPE scaling `{rope.kind}`": rope.kind not in known.scalings,
        f"`head_dim` `{shape.head_dim}`": known.square and shape.query != shape.hidden,
        "a head that differs from the embedding": known.tied and not shape.tied,
        # It rounds contexts up to 256 tokens before it compares them with the original.
        "short LongRoPE factors": rope.kind == "longrope"
        and shape.context_tokens <= (rope.original_context or 0)
        and shape.context_tokens % 256 != 0,
        "no `attn_logit_softcapping`": getattr(settings, "attention_softcap", 0) is None,
    }
    for what, is_so in odd.items():
        if is_so:
            message = f"llama.cpp computes `{made.name}` without regard to {what}"
            raise UnsupportedError(message, hint="leave out --format gguf")
    return known


def tensor_name(known: Architecture, name: str) -> str:
    """What llama.cpp calls the checkpoint's tensor `name`; UnsupportedError where it has none."""
    if name in _TOP:
        return _TOP[name]
    layer, _, rest = name.removeprefix("model.layers.").partition(".")
    module, _, kind = rest.rpartition(".")
    leaf = known.leaves.get(module)
    if leaf is None or (kind == "bias" and leaf not in known.biases):
        message = f"llama.cpp has no tensor for `{name}` in `{known.name}`"
        raise UnsupportedError(message, hint="leave out --format gguf")
    return f"blk.{layer}.{leaf}.{kind}"


def arranged(known: Architecture, made: Family, name: str, values: Any) -> Any:
    """The numbers of llama.cpp's tensor `name`, from those of the checkpoint.

    Where it rotates neighbouring features, rows of q and k are permuted: feature i of the first
    half comes beside i of the second. Where it scales scores otherwise, the queries make up for it.
    """
    shape: Shape = made.config.shape
    leaf = name.split(".")[-2]
    scaled = "attn_q_norm" if made.name == "gemma3_text" else "attn_q"
    if leaf == scaled and (factor := _query_factor(known, made.config)) != 1:
        values = values * np.float32(factor)
    heads = {"attn_q": shape.heads, "attn_k": shape.kv_heads}.get(leaf)
    if not known.permutes or heads is None:
        return values
    halves = values.reshape(heads, 2, shape.head_dim // 2, *values.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)


def longest_context(known: Architecture, made: Family) -> int:
    """The context up to which llama.cpp computes the same: without windows, the shortest of them.

    Until a text is longer than its window, the window changes nothing.
    """
    whole: int = made.config.shape.context_tokens
    return whole if known.slides else min([whole, *_windows(made)])


def add_sizes(writer: Any, known: Architecture, made: Family, config: ModelConfig) -> None:
    """Gives the sizes to a `gguf.GGUFWriter`."""
    settings, shape = made.config, made.config.shape
    rope = _rope(made, config)
    writer.add_context_length(longest_context(known, made))
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocab)
    writer.add_rope_dimension_count(settings.rotation.rotary_dim)
    writer.add_rope_freq_base(rope.theta)
    if rope.kind == "linear":
        writer.add_rope_scaling_type(_scaling("linear"))
        writer.add_rope_scaling_factor(rope.factor)
    if rope.kind in ("longrope", "yarn"):
        writer.add_rope_scaling_attn_factors(settings.rotation.magnitude)
    if rope.kind == "longrope":
        writer.add_rope_scaling_type(_scaling("longrope"))
        writer.add_rope_scaling_orig_ctx_len(rope.original_context)
    if known.slides and _windows(made):
        writer.add_sliding_window(min(_windows(made)))
        writer.add_sliding_window_pattern([width is not None for width in settings.windows])
    if made.name == "gemma3_text":
        from sphere_edge.models import gemma3_text

        local = gemma3_text.rope_parameters(config, "sliding_attention")
        writer.add_float32(f"{known.name}.rope.freq_base_swa", local.theta)
    if getattr(settings, "attention_softcap", None) is not None:
        writer.add_attn_logit_softcapping(settings.attention_softcap)
    if getattr(settings, "logit_softcap", None) is not None:
        writer.add_final_logit_softcapping(settings.logit_softcap)


def rope_tensors(known: Architecture, made: Family, config: ModelConfig) -> dict[str, Any]:
    """Tensors that divide RoPE's frequencies, float32 [rotary_dim / 2]; {} where none is needed."""
    rope, rotated = _rope(made, config), made.config.rotation
    if rope.kind == "longrope":
        lists = {"long": rope.long_factor, "short": rope.short_factor}
        return {
            f"rope_factors_{which}.weight": np.array(factors, np.float32)
            for which, factors in lists.items()
            if factors is not None
        }
    if not known.permutes or rope.kind not in ("llama3", "yarn"):
        return {}
    plain = rotation(replace(rope, kind="default"), rotated.rotary_dim, 0, partial=True)
    factors = plain.inverse_frequencies / rotated.inverse_frequencies
    return {"rope_freqs.weight": factors.astype(np.float32)}


def _rope(made: Family, config: ModelConfig) -> RopeParameters:
    if made.name != "gemma3_text":
        return config.rope()
    from sphere_edge.models import gemma3_text

    local = gemma3_text.rope_parameters(config, "sliding_attention")
    # Layers with a window are never scaled by llama.cpp.
    return (
        local
        if local.kind not in ("default", "dynamic")
        else gemma3_text.rope_parameters(config, "full_attention")
    )


def _windows(made: Family) -> list[int]:
    every = getattr(made.config, "windows", (getattr(made.config, "window", None),))
    return [width for width in every if width is not None]


def _query_factor(known: Architecture, settings: Any) -> float:
    """What queries lack when llama.cpp scales the scores; its 27 B Gemmas differ from the rest."""
    shape = settings.shape
    largest = {"gemma2": 46, "gemma3": 62}.get(known.name)
    features = shape.hidden / shape.heads if shape.layers == largest else shape.head_dim
    scale: float = getattr(settings, "scale", shape.head_dim**-0.5)
    factor = scale * features**0.5
    return 1.0 if abs(factor - 1) < 1e-6 else factor


def _scaling(name: str) -> Any:
    from gguf import RopeScalingType

    return RopeScalingType(name)
