"""Multimodal checkpoints, whose text part is compared: config.json as it is published.

What a `text_config` leaves out, as published ones do, is the default of transformers' class.
"""

from __future__ import annotations

from typing import Any

from golden_cases.sizes import OLD_YARN

_TEXT = {
    "vocab_size": 99,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
_GEMMA3 = {"hidden_size": 32, "intermediate_size": 48, "vocab_size": 99, "num_hidden_layers": 2}
_SIGLIP = {
    "model_type": "siglip_vision_model",
    "hidden_size": 16,
    "image_size": 28,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "patch_size": 14,
}
_CLIP = {**_SIGLIP, "model_type": "clip_vision_model", "projection_dim": 8, "vocab_size": 9}
_IDEFICS = {**_SIGLIP, "model_type": "idefics3"}
_PIXTRAL = {**_SIGLIP, "model_type": "pixtral", "head_dim": 8}
_INTERNVL = {
    "model_type": "internvl_vision",
    "hidden_size": 16,
    "image_size": [28, 28],
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "patch_size": [14, 14],
}
_QWEN_EYE = {"depth": 1, "embed_dim": 16, "num_heads": 2, "hidden_size": 64, "patch_size": 14}
_MROPE = {"type": "mrope", "mrope_section": [2, 3, 3]}


def _gemma3(**text: Any) -> dict[str, Any]:
    return {
        "model_type": "gemma3",
        "architectures": ["Gemma3ForConditionalGeneration"],
        "eos_token_id": [1, 106],
        "image_token_index": 98,
        "boi_token_index": 97,
        "eoi_token_index": 96,
        "mm_tokens_per_image": 4,
        "initializer_range": 0.02,
        "torch_dtype": "bfloat16",
        "text_config": {**_GEMMA3, **text, "model_type": "gemma3_text"},
        "vision_config": {**_SIGLIP, "vision_use_head": False},
    }


CASES: dict[str, dict[str, Any]] = {
    # As gemma-3-4b: heads, their size, the context and all bases of rotation are left out.
    "gemma3_as_published": _gemma3(
        sliding_window=9,
        rope_scaling={"factor": 8.0, "rope_type": "linear"},
    ),
    # As gemma-3-27b: the size of heads, their number and the scale of scores are there.
    "gemma3_heads_and_scale": _gemma3(
        head_dim=16,
        num_attention_heads=4,
        num_key_value_heads=4,
        query_pre_attn_scalar=24,
        num_hidden_layers=7,
        sliding_window=7,
        max_position_embeddings=512,
        rope_scaling={"factor": 8.0, "rope_type": "linear"},
    ),
    "gemma3_own_bases": _gemma3(
        hidden_size=48,
        head_dim=24,
        num_attention_heads=3,
        num_key_value_heads=1,
        num_hidden_layers=3,
        sliding_window=5,
        sliding_window_pattern=2,
        max_position_embeddings=512,
        rope_theta=50000.0,
        rope_local_base_freq=500.0,
    ),
    "gemma3_untied_biases": {
        **_gemma3(
            head_dim=16,
            num_attention_heads=4,
            num_key_value_heads=1,
            max_position_embeddings=512,
            sliding_window=6,
            attention_bias=True,
            layer_types=["sliding_attention", "full_attention"],
            tie_word_embeddings=False,
        ),
        "tie_word_embeddings": False,
    },
    "mistral3_as_published": {
        "model_type": "mistral3",
        "architectures": ["Mistral3ForConditionalGeneration"],
        "image_token_index": 10,
        "multimodal_projector_bias": False,
        "projector_hidden_act": "gelu",
        "spatial_merge_size": 2,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vision_feature_layer": -1,
        "text_config": {
            **_TEXT,
            "model_type": "mistral",
            "head_dim": 24,
            "rms_norm_eps": 1e-05,
            "rope_theta": 1000000000.0,
            "sliding_window": None,
        },
        "vision_config": _PIXTRAL,
    },
    "llava_of_llama": {
        "model_type": "llava",
        "architectures": ["LlavaForConditionalGeneration"],
        "image_token_index": 98,
        "ignore_index": -100,
        "pad_token_id": 0,
        "vocab_size": 99,
        "text_config": {**_TEXT, "model_type": "llama", "num_key_value_heads": 4},
        "vision_config": _CLIP,
    },
    "llava_next_of_mistral": {
        "model_type": "llava_next",
        "image_token_index": 98,
        "tie_word_embeddings": False,
        "text_config": {**_TEXT, "model_type": "mistral", "sliding_window": 11},
        "vision_config": _CLIP,
    },
    "llava_onevision_of_qwen2": {
        "model_type": "llava_onevision",
        "image_token_index": 98,
        "video_token_index": 97,
        "tie_word_embeddings": True,
        "text_config": {**_TEXT, "model_type": "qwen2", "num_key_value_heads": 1},
        "vision_config": {**_SIGLIP, "vision_use_head": False},
    },
    "internvl_of_qwen3": {
        "model_type": "internvl",
        "image_token_id": 98,
        "tie_word_embeddings": False,
        "text_config": {**_TEXT, "model_type": "qwen3", "head_dim": 16},
        "vision_config": _INTERNVL,
    },
    "smolvlm_as_published": {
        "model_type": "smolvlm",
        "image_token_id": 98,
        "scale_factor": 4,
        "tie_word_embeddings": False,
        "text_config": {
            **_TEXT,
            "model_type": "llama",
            "head_dim": 16,
            "hidden_size": 48,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "rms_norm_eps": 1e-05,
            "rope_theta": 100000,
            "rope_interleaved": False,
            "is_llama_config": True,
            "_flash_attn_2_enabled": True,
            "neftune_noise_alpha": 0.0,
            "perceiver_config": {"model_type": "vllama3"},
            "pixel_shuffle_factor": 4,
            "qk_layer_norms": False,
            "use_resampler": False,
        },
        "vision_config": {**_IDEFICS, "model_type": "smolvlm_vision"},
    },
    "idefics3_llama3": {
        "model_type": "idefics3",
        "image_token_id": 98,
        "scale_factor": 2,
        "text_config": {
            **_TEXT,
            "model_type": "llama",
            "rope_theta": 10000.0,
            "rope_scaling": {
                "factor": 8.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 64,
                "rope_type": "llama3",
            },
        },
        "vision_config": _IDEFICS,
    },
    # As Qwen2-VL-2B: the text's keys are beside those of pictures.
    "qwen2_vl_flat_tied": {
        **_TEXT,
        "model_type": "qwen2_vl",
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "sliding_window": 32768,
        "max_window_layers": 2,
        "rope_theta": 1000000.0,
        "rope_scaling": _MROPE,
        "image_token_id": 98,
        "video_token_id": 97,
        "vision_end_token_id": 96,
        "vision_start_token_id": 95,
        "vision_token_id": 94,
        "vision_config": _QWEN_EYE,
    },
    "qwen2_5_vl_text_config": {
        "model_type": "qwen2_5_vl",
        "image_token_id": 98,
        "video_token_id": 97,
        "vision_end_token_id": 96,
        "vision_start_token_id": 95,
        "text_config": {
            **_TEXT,
            "model_type": "qwen2_5_vl_text",
            "hidden_size": 80,
            "num_attention_heads": 5,
            "num_key_value_heads": 1,
            "rope_scaling": {**_MROPE, "rope_type": "default"},
        },
        "vision_config": {
            "depth": 1,
            "hidden_size": 16,
            "num_heads": 2,
            "intermediate_size": 16,
            "out_hidden_size": 80,
            "patch_size": 14,
            "fullatt_block_indexes": [0],
        },
    },
    "qwen3_vl_interleaved": {
        "model_type": "qwen3_vl",
        "image_token_id": 98,
        "video_token_id": 97,
        "vision_end_token_id": 96,
        "vision_start_token_id": 95,
        "tie_word_embeddings": True,
        "text_config": {
            **_TEXT,
            "model_type": "qwen3_vl_text",
            "head_dim": 16,
            "rms_norm_eps": 1e-06,
            "rope_theta": 5000000,
            "rope_scaling": {
                "mrope_interleaved": True,
                "mrope_section": [3, 3, 2],
                "rope_type": "default",
            },
            "tie_word_embeddings": True,
        },
        "vision_config": {
            "depth": 1,
            "hidden_size": 16,
            "num_heads": 2,
            "intermediate_size": 16,
            "out_hidden_size": 64,
            "patch_size": 16,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
    },
    "mistral3_of_ministral3": {
        "model_type": "mistral3",
        "architectures": ["Mistral3ForConditionalGeneration"],
        "image_token_index": 10,
        "text_config": {
            **_TEXT,
            "model_type": "ministral3",
            "max_position_embeddings": 256,
            "head_dim": 16,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 1000000.0,
                "factor": 16.0,
                "original_max_position_embeddings": 256,
                "llama_4_scaling_beta": 0.1,
                "mscale": 1.0,
                "mscale_all_dim": 1.0,
            },
            "tie_word_embeddings": False,
        },
        "tie_word_embeddings": False,
        "vision_config": _PIXTRAL,
    },
    "mistral3_yarn_tied": {
        "model_type": "mistral3",
        "image_token_index": 10,
        "text_config": {
            **_TEXT,
            "model_type": "mistral",
            "num_key_value_heads": 4,
            "sliding_window": None,
            "tie_word_embeddings": True,
            "rope_theta": 10000.0,
            "rope_scaling": OLD_YARN,
        },
        "tie_word_embeddings": True,
        "vision_config": _PIXTRAL,
    },
}
