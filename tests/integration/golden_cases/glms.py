"""GLM."""

from __future__ import annotations

from typing import Any

from golden_cases.sizes import YARN

CASES: dict[str, dict[str, Any]] = {
    "glm_grouped": {
        "style": 4,
        "model_type": "glm",
        "head_dim": 16,
        "partial_rotary_factor": 0.5,
        "rope_theta": 10000.0,
    },
    "glm_no_biases_odd_head": {
        "style": 5,
        "model_type": "glm",
        "head_dim": 24,
        "num_key_value_heads": 1,
        "attention_bias": False,
        "tie_word_embeddings": True,
    },
    "glm_full_heads": {
        "style": 5,
        "model_type": "glm",
        "head_dim": 32,
        "num_key_value_heads": 4,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e5,
            "partial_rotary_factor": 1.0,
        },
    },
    "glm_odd_heads_linear": {
        "style": 5,
        "model_type": "glm",
        "hidden_size": 48,
        "num_attention_heads": 3,
        "num_key_value_heads": 3,
        "head_dim": 16,
        "rope_parameters": {
            "rope_type": "linear",
            "rope_theta": 10000.0,
            "factor": 2.0,
            "partial_rotary_factor": 0.5,
        },
    },
    "glm4_grouped": {
        "style": 4,
        "model_type": "glm4",
        "head_dim": 16,
        "partial_rotary_factor": 0.5,
        "rope_theta": 10000.0,
    },
    "glm4_no_biases": {
        "style": 5,
        "model_type": "glm4",
        "head_dim": 32,
        "num_key_value_heads": 1,
        "attention_bias": False,
        "tie_word_embeddings": True,
    },
    "glm4_full_heads_three_layers": {
        "style": 5,
        "model_type": "glm4",
        "num_hidden_layers": 3,
        "num_key_value_heads": 4,
        "head_dim": 24,
    },
    "glm4_odd_heads_yarn": {
        "style": 5,
        "model_type": "glm4",
        "hidden_size": 80,
        "num_attention_heads": 5,
        "num_key_value_heads": 5,
        "head_dim": 16,
        "rope_parameters": {**YARN, "partial_rotary_factor": 0.5},
    },
}
