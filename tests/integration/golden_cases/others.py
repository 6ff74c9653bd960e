"""Families with something of their own: Cohere, ERNIE, EXAONE, Granite, OLMo, Seed, StarCoder."""

from __future__ import annotations

from typing import Any

from golden_cases.sizes import LLAMA3, OLD_YARN, YARN

_ODD = {"hidden_size": 48, "num_attention_heads": 3, "num_key_value_heads": 3}
_FIVE = {"hidden_size": 80, "num_attention_heads": 5, "num_key_value_heads": 1}
_LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
_LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 100,
    "short_factor": [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0],
    "long_factor": [1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 32.0, 48.0],
}
# As published, but for the sizes; the factor on queries is 1 up to the original context.
_MINISTRAL = {
    "rope_type": "yarn",
    "rope_theta": 1000000.0,
    "factor": 16.0,
    "original_max_position_embeddings": 256,
    "max_position_embeddings": 4096,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "llama_4_scaling_beta": 0.1,
}
_GRANITE = {
    "embedding_multiplier": 12.0,
    "attention_multiplier": 0.09,
    "residual_multiplier": 0.22,
    "logits_scaling": 8.0,
}


def _five(family: str, cases: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        f"{family}_{name}": {"style": 5, "model_type": family, **case}
        for name, case in cases.items()
    }


CASES: dict[str, dict[str, Any]] = {
    **_five(
        "granite",
        {
            "as_published": {
                **_GRANITE,
                "style": 4,
                "rope_theta": 1e7,
                "tie_word_embeddings": True,
            },
            "biases_full_heads": {
                **_GRANITE,
                "num_key_value_heads": 4,
                "attention_bias": True,
                "mlp_bias": True,
                "rope_parameters": LLAMA3,
            },
            "odd_heads_yarn": {**_ODD, **_GRANITE, "vocab_size": 101, "rope_parameters": YARN},
            "one_kv_head_longrope": {
                **_GRANITE,
                "num_key_value_heads": 1,
                "residual_multiplier": 1.0,
                "rope_parameters": _LONGROPE,
            },
        },
    ),
    **_five(
        "ministral3",
        {
            "as_published": {
                "head_dim": 16,
                "tie_word_embeddings": True,
                "rope_parameters": {**_MINISTRAL, "original_max_position_embeddings": 16384},
            },
            "full_heads_window": {
                "max_position_embeddings": 256,
                "num_key_value_heads": 4,
                "head_dim": 24,
                "sliding_window": 9,
                "rope_parameters": _MINISTRAL,
            },
            "odd_heads": {
                **_ODD,
                "max_position_embeddings": 256,
                "head_dim": 32,
                "vocab_size": 101,
                "rope_parameters": {**_MINISTRAL, "beta_fast": 4.0, "factor": 8.0},
            },
            "one_kv_head_magnitude": {
                **_FIVE,
                "max_position_embeddings": 256,
                "head_dim": 16,
                "rope_parameters": {**_MINISTRAL, "mscale_all_dim": 0.5},
            },
        },
    ),
    **_five(
        "olmo2",
        {
            "grouped": {"style": 4, "rope_theta": 500000.0},
            "full_heads_biases_tied": {
                "num_key_value_heads": 4,
                "attention_bias": True,
                "tie_word_embeddings": True,
                "rope_parameters": YARN,
            },
            "odd_heads_linear": {**_ODD, "vocab_size": 101, "rope_parameters": _LINEAR},
            "wide_heads_llama3": {**_FIVE, "head_dim": 24, "rope_parameters": LLAMA3},
        },
    ),
    **_five(
        "olmo3",
        {
            "as_published": {
                "style": 4,
                "num_hidden_layers": 4,
                "sliding_window": 9,
                "rope_theta": 500000.0,
                "rope_scaling": {**OLD_YARN, "attention_factor": 1.2},
            },
            "layer_types_biases": {
                "num_key_value_heads": 4,
                "attention_bias": True,
                "sliding_window": 6,
                "layer_types": ["full_attention", "sliding_attention"],
                "tie_word_embeddings": True,
                "rope_parameters": {
                    "full_attention": LLAMA3,
                    "sliding_attention": {"rope_type": "default", "rope_theta": 1000.0},
                },
            },
            "odd_heads_all_slide": {
                **_ODD,
                "sliding_window": 12,
                "vocab_size": 101,
                "rope_parameters": {
                    "full_attention": {"rope_type": "default", "rope_theta": 10000.0},
                    "sliding_attention": _LINEAR,
                },
            },
            "no_window_longrope": {
                **_FIVE,
                "sliding_window": 64,
                "layer_types": ["full_attention", "full_attention"],
                "rope_parameters": {
                    "full_attention": _LONGROPE,
                    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                },
            },
        },
    ),
    **_five(
        "stablelm",
        {
            "as_published": {
                "style": 4,
                "use_qkv_bias": True,
                "num_key_value_heads": 4,
                "partial_rotary_factor": 0.25,
                "rope_theta": 10000.0,
            },
            "parallel": {
                "use_parallel_residual": True,
                "tie_word_embeddings": True,
                "rope_parameters": {**LLAMA3, "partial_rotary_factor": 0.5},
            },
            "odd_heads_yarn": {
                **_ODD,
                "vocab_size": 101,
                "rope_parameters": {**YARN, "partial_rotary_factor": 0.5},
            },
            "one_kv_head_linear": {
                **_FIVE,
                "use_qkv_bias": True,
                "use_parallel_residual": True,
                "rope_parameters": {**_LINEAR, "partial_rotary_factor": 1.0},
            },
        },
    ),
    **_five(
        "exaone4",
        {
            "mixed": {
                "style": 4,
                "num_hidden_layers": 4,
                "sliding_window": 9,
                "sliding_window_pattern": "LLLG",
                "layer_types": [*["sliding_attention"] * 3, "full_attention"],
                "rope_theta": 1000000.0,
                "rope_scaling": {k: v for k, v in LLAMA3.items() if k != "rope_theta"},
            },
            "no_window_tied": {
                "sliding_window": None,
                "layer_types": ["full_attention", "full_attention"],
                "tie_word_embeddings": True,
                "num_key_value_heads": 4,
                "head_dim": 24,
            },
            "odd_heads_layer_types": {
                **_ODD,
                "sliding_window": 6,
                "layer_types": ["full_attention", "sliding_attention"],
                "rope_parameters": _LINEAR,
            },
            "all_slide_yarn": {
                **_FIVE,
                "sliding_window": 7,
                "vocab_size": 101,
                "layer_types": ["sliding_attention", "sliding_attention"],
                "rope_parameters": YARN,
            },
        },
    ),
    **_five(
        "seed_oss",
        {
            "grouped": {"style": 4, "head_dim": 16, "rope_theta": 10000000.0},
            "all_biases_tied": {
                "head_dim": 24,
                "num_key_value_heads": 4,
                "attention_out_bias": True,
                "mlp_bias": True,
                "tie_word_embeddings": True,
                "rope_parameters": LLAMA3,
            },
            "no_biases_odd_heads": {
                **_ODD,
                "head_dim": 16,
                "attention_bias": False,
                "rope_parameters": YARN,
            },
            "one_kv_head_longrope": {**_FIVE, "head_dim": 16, "rope_parameters": _LONGROPE},
        },
    ),
    **_five(
        "ernie4_5",
        {
            "grouped_tied": {
                "style": 4,
                "head_dim": 16,
                "tie_word_embeddings": True,
                "rope_theta": 500000.0,
            },
            "biases_full_heads": {
                "head_dim": 24,
                "num_key_value_heads": 4,
                "use_bias": True,
                "rope_parameters": _LINEAR,
            },
            "odd_heads_yarn": {**_ODD, "head_dim": 16, "rope_parameters": YARN},
            "one_kv_head_llama3": {
                **_FIVE,
                "head_dim": 32,
                "vocab_size": 101,
                "rope_parameters": LLAMA3,
            },
        },
    ),
    **_five(
        "starcoder2",
        {
            "window": {
                "style": 4,
                "sliding_window": 9,
                "tie_word_embeddings": True,
                "rope_theta": 100000.0,
            },
            "no_biases_full_heads": {
                "num_key_value_heads": 4,
                "use_bias": False,
                "rope_parameters": _LINEAR,
            },
            "odd_heads_yarn": {**_ODD, "vocab_size": 101, "rope_parameters": YARN},
            "one_kv_head_plain_gelu": {
                **_FIVE,
                "hidden_act": "gelu",
                "sliding_window": 30,
                "rope_parameters": LLAMA3,
            },
        },
    ),
    **_five(
        "cohere2",
        {
            "as_published": {
                "style": 4,
                "num_hidden_layers": 4,
                "head_dim": 16,
                "sliding_window": 9,
                "sliding_window_pattern": 4,
                "logit_scale": 0.25,
                "tie_word_embeddings": True,
                "rope_theta": 50000.0,
            },
            "biases_layer_types": {
                "num_key_value_heads": 4,
                "attention_bias": True,
                "sliding_window": 5,
                "layer_types": ["full_attention", "sliding_attention"],
                "rope_parameters": _LINEAR,
            },
            "odd_heads_yarn": {
                **_ODD,
                "sliding_window": 12,
                "layer_types": ["sliding_attention", "sliding_attention"],
                "rope_parameters": YARN,
            },
            "one_kv_head_llama3": {
                **_FIVE,
                "head_dim": 24,
                "vocab_size": 101,
                "sliding_window": 64,
                "rope_parameters": LLAMA3,
            },
        },
    ),
    **_five(
        "cohere",
        {
            "as_published": {
                "style": 4,
                "logit_scale": 0.0625,
                "tie_word_embeddings": True,
                "rope_theta": 8000000.0,
            },
            "biases_full_heads": {
                "num_key_value_heads": 4,
                "attention_bias": True,
                "rope_parameters": _LINEAR,
            },
            "odd_heads_yarn": {
                **_ODD,
                "style": 4,
                "rope_theta": 10000.0,
                "rope_scaling": OLD_YARN,
            },
            "one_kv_head_llama3": {**_FIVE, "vocab_size": 101, "rope_parameters": LLAMA3},
        },
    ),
}
