"""Every kind of RoPE scaling in every family, as transformers has them: configurations for goldens.

The configurations of one family differ in their rotation only, so that they share compiled code.
"""

from __future__ import annotations

from typing import Any

_SIZES = {
    "style": 5,
    "vocab_size": 33,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
}
# What is special about a family, with heads of 16 features, not of 8 as the sizes would have it.
_FAMILIES: dict[str, dict[str, Any]] = {
    "cohere": {},
    "cohere2": {"sliding_window": 9, "layer_types": ["sliding_attention", "full_attention"]},
    "ernie4_5": {},
    "exaone4": {"sliding_window": 9, "layer_types": ["sliding_attention", "full_attention"]},
    "gemma": {},
    "gemma2": {"sliding_window": 9, "query_pre_attn_scalar": 16},
    "gemma3_text": {
        "sliding_window": 9,
        "layer_types": ["sliding_attention", "full_attention"],
        "query_pre_attn_scalar": 16,
    },
    "glm": {},
    "glm4": {},
    "gpt_oss": {"sliding_window": 9, "num_local_experts": 3, "num_experts_per_tok": 2},
    "granite": {"attention_multiplier": 0.2, "residual_multiplier": 0.5},
    "llama": {},
    "mistral": {"sliding_window": 50},
    "nemotron": {},
    "olmo2": {},
    "olmo3": {"sliding_window": 9, "layer_types": ["sliding_attention", "full_attention"]},
    "phi": {},
    # It checks its factors against features by heads, whatever its heads have.
    "phi3": {
        "num_key_value_heads": 4,
        "hidden_size": 64,
        "original_max_position_embeddings": 100,
    },
    "qwen2": {},
    "qwen3": {},
    "qwen3_moe": {"moe_intermediate_size": 16, "num_experts": 3, "num_experts_per_tok": 2},
    "seed_oss": {},
    # Its heads fill the hidden size.
    "stablelm": {"hidden_size": 64},
    "starcoder2": {},
    "smollm3": {"no_rope_layers": [0, 1]},
}
_PAIRS = 8
# These rotate a part of each head.
_PARTIAL = ("glm", "glm4", "nemotron", "phi", "phi3", "stablelm")
_KINDS: dict[str, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 2.5},
    "dynamic": {"factor": 2.0},
    "llama3": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    # What multiplies cos and sin is compiled in, so both have that of the others.
    "yarn": {
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "attention_factor": 1.0,
        "beta_fast": 8.0,
    },
    "longrope": {
        "factor": 4.0,
        "original_max_position_embeddings": 100,
        "attention_factor": 1.0,
        "short_factor": [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0],
        "long_factor": [1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 32.0, 48.0],
    },
}


# Families of which golden_cases has the other kinds; transformers' Phi-3 knows no others.
_SOME = {
    **dict.fromkeys(("cohere", "cohere2", "ernie4_5", "exaone4"), ("dynamic", "longrope")),
    **dict.fromkeys(("olmo2", "stablelm", "starcoder2"), ("dynamic", "longrope")),
    **dict.fromkeys(("granite", "seed_oss"), ("dynamic", "linear")),
    "olmo3": ("dynamic",),
    "phi3": ("default", "longrope"),
}


def _parameters(family: str, kind: str) -> dict[str, Any]:
    table: dict[str, Any] = {"rope_type": kind, "rope_theta": 10000.0, **_KINDS[kind]}
    if family in _PARTIAL:
        table["partial_rotary_factor"] = 0.5
        lists = ("short_factor", "long_factor")
        table |= {key: table[key][: _PAIRS // 2] for key in lists if key in table}
    if family in ("gemma3_text", "olmo3"):
        local = {"rope_type": "linear", "rope_theta": 1000.0, "factor": 2.0}
        return {"full_attention": table, "sliding_attention": local}
    return table


CASES: dict[str, dict[str, Any]] = {
    f"{family}_rope_{kind}": {
        **_SIZES,
        "model_type": family,
        "head_dim": 16,
        **special,
        "rope_parameters": _parameters(family, kind),
    }
    for family, special in _FAMILIES.items()
    for kind in _KINDS
    if kind in _SOME.get(family, _KINDS)
}
