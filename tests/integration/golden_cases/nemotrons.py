"""Nemotron."""

from __future__ import annotations

from typing import Any

CASES: dict[str, dict[str, Any]] = {
    "nemotron_grouped": {
        "style": 4,
        "model_type": "nemotron",
        "partial_rotary_factor": 0.5,
        "rope_theta": 10000.0,
    },
    "nemotron_biases_full_heads": {
        "style": 5,
        "model_type": "nemotron",
        "num_key_value_heads": 4,
        "attention_bias": True,
        "mlp_bias": True,
        "tie_word_embeddings": True,
    },
    "nemotron_wide_heads": {
        "style": 5,
        "model_type": "nemotron",
        "head_dim": 32,
        "num_key_value_heads": 1,
        "vocab_size": 101,
        "hidden_act": "gelu",
    },
    "nemotron_odd_heads_linear": {
        "style": 5,
        "model_type": "nemotron",
        "hidden_size": 48,
        "num_attention_heads": 3,
        "num_key_value_heads": 3,
        "head_dim": 24,
        "rope_parameters": {
            "rope_type": "linear",
            "rope_theta": 10000.0,
            "factor": 2.0,
            "partial_rotary_factor": 0.5,
        },
    },
}
