"""Phi and Phi-3."""

from __future__ import annotations

from typing import Any

from golden_cases.sizes import YARN

LONGROPE = {
    "type": "longrope",
    "short_factor": [1.0, 1.25, 1.5, 2.0, 2.5, 3.0],
    "long_factor": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
}

CASES: dict[str, dict[str, Any]] = {
    "phi_grouped": {"style": 5, "model_type": "phi"},
    "phi_full_heads": {
        "style": 4,
        "model_type": "phi",
        "num_key_value_heads": 4,
        "partial_rotary_factor": 0.25,
        "hidden_act": "gelu_new",
        "rope_theta": 10000.0,
    },
    "phi_plain_gelu_linear": {
        "style": 4,
        "model_type": "phi",
        "vocab_size": 101,
        "hidden_size": 72,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
        "intermediate_size": 104,
        "hidden_act": "gelu",
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "linear", "factor": 2.0},
    },
    "phi_tied_yarn": {
        "style": 5,
        "model_type": "phi",
        "tie_word_embeddings": True,
        "num_key_value_heads": 1,
        "rope_parameters": {**YARN, "partial_rotary_factor": 0.5},
    },
    "phi3_window": {
        "style": 4,
        "model_type": "phi3",
        "sliding_window": 9,
        "rope_theta": 10000.0,
    },
    "phi3_longrope_long": {
        "style": 4,
        "model_type": "phi3",
        "partial_rotary_factor": 0.75,
        "original_max_position_embeddings": 128,
        "rope_theta": 10000.0,
        "rope_scaling": LONGROPE,
    },
    "phi3_longrope_short": {
        "style": 5,
        "model_type": "phi3",
        "num_key_value_heads": 4,
        "max_position_embeddings": 256,
        "original_max_position_embeddings": 256,
        "partial_rotary_factor": 0.75,
        "rope_parameters": {**LONGROPE, "rope_type": "longrope", "rope_theta": 10000.0},
    },
    "phi3_tied": {
        "style": 5,
        "model_type": "phi3",
        "hidden_size": 48,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
        "tie_word_embeddings": True,
    },
}
