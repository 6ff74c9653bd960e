"""Qwen without experts."""

from __future__ import annotations

from typing import Any

from golden_cases.sizes import LLAMA3, OLD_YARN, YARN

CASES: dict[str, dict[str, Any]] = {
    "qwen2_grouped_tied": {
        "style": 4,
        "model_type": "qwen2",
        "tie_word_embeddings": True,
        "rope_theta": 1000000.0,
    },
    "qwen2_upper_layers_slide": {
        "style": 4,
        "model_type": "qwen2",
        "num_hidden_layers": 3,
        "use_sliding_window": True,
        "sliding_window": 8,
        "max_window_layers": 1,
        "rope_theta": 10000.0,
    },
    "qwen2_full_heads_layer_types": {
        "style": 5,
        "model_type": "qwen2",
        "num_key_value_heads": 4,
        "use_sliding_window": True,
        "sliding_window": 5,
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": YARN,
    },
    "qwen2_odd_heads_one_kv_head_llama3": {
        "style": 5,
        "model_type": "qwen2",
        "hidden_size": 80,
        "num_attention_heads": 5,
        "num_key_value_heads": 1,
        "vocab_size": 101,
        "rope_parameters": LLAMA3,
    },
    "qwen3_grouped_tied": {
        "style": 4,
        "model_type": "qwen3",
        "tie_word_embeddings": True,
        "head_dim": 32,
        "rope_theta": 1000000.0,
    },
    "qwen3_biases_layer_types": {
        "style": 5,
        "model_type": "qwen3",
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "head_dim": 16,
        "attention_bias": True,
        "use_sliding_window": True,
        "sliding_window": 8,
        "layer_types": ["full_attention", "sliding_attention", "full_attention"],
    },
    "qwen3_full_heads_odd_head": {
        "style": 5,
        "model_type": "qwen3",
        "num_key_value_heads": 4,
        "head_dim": 40,
        "vocab_size": 103,
    },
    "qwen3_one_kv_head_all_slide_yarn": {
        "style": 4,
        "model_type": "qwen3",
        "hidden_size": 48,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "use_sliding_window": True,
        "sliding_window": 6,
        "max_window_layers": 0,
        "rope_theta": 10000.0,
        "rope_scaling": OLD_YARN,
    },
}
