"""Makes tests/data/goldens with transformers: `python tests/integration/make_goldens.py [name…]`.

Needs the `train` dependency group (torch, transformers). Each case sets only what it is about;
`style` 4 or 5 says in which of the two config.json dialects it is stored.
"""

from __future__ import annotations

import copy
import sys
import zlib
from dataclasses import replace
from typing import Any

import golden_experts
import goldens
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

PROMPT, DECODED = 40, 200

SMALL = {
    "pad_token_id": 0,
    "vocab_size": 99,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}

LONGROPE = {
    "type": "longrope",
    "short_factor": [1.0, 1.25, 1.5, 2.0, 2.5, 3.0],
    "long_factor": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
}

MIXTURE = {
    "head_dim": 16,
    "intermediate_size": 40,
    "num_local_experts": 6,
    "num_experts_per_tok": 2,
    "rms_norm_eps": 1e-5,
}
QWEN_MIXTURE = {
    "head_dim": 16,
    "moe_intermediate_size": 24,
    "num_experts": 5,
    "num_experts_per_tok": 2,
}

CASES: dict[str, dict[str, Any]] = {
    "llama_grouped_tied_llama3": {
        "style": 5,
        "model_type": "llama",
        "tie_word_embeddings": True,
        "rope_parameters": LLAMA3,
    },
    "llama_full_heads_biases_linear": {
        "style": 4,
        "model_type": "llama",
        "num_key_value_heads": 4,
        "attention_bias": True,
        "mlp_bias": True,
        "rope_theta": 500000.0,
        "rope_scaling": {"type": "linear", "factor": 2.0},
    },
    "llama_odd_sizes": {
        "style": 5,
        "model_type": "llama",
        "vocab_size": 101,
        "hidden_size": 80,
        "intermediate_size": 136,
        "num_attention_heads": 5,
        "num_key_value_heads": 1,
        "head_dim": 24,
        "hidden_act": "gelu_pytorch_tanh",
        "rms_norm_eps": 1e-5,
    },
    "llama_yarn": {
        "style": 4,
        "model_type": "llama",
        "rope_theta": 10000.0,
        "rope_scaling": {key: value for key, value in YARN.items() if key != "rope_theta"},
    },
    "mistral_window": {
        "style": 4,
        "model_type": "mistral",
        "sliding_window": 9,
        "rope_theta": 10000.0,
    },
    "mistral_no_window_wide_heads": {
        "style": 5,
        "model_type": "mistral",
        "sliding_window": None,
        "head_dim": 32,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
    },
    "mistral_one_kv_head_tied": {
        "style": 5,
        "model_type": "mistral",
        "num_hidden_layers": 3,
        "num_key_value_heads": 1,
        "sliding_window": 16,
        "tie_word_embeddings": True,
    },
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
    "gemma_one_kv_head": {
        "style": 4,
        "model_type": "gemma",
        "tie_word_embeddings": True,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "hidden_act": "gelu",
        "rope_theta": 10000.0,
    },
    "gemma_biases": {
        "style": 5,
        "model_type": "gemma",
        "head_dim": 24,
        "vocab_size": 103,
        "attention_bias": True,
        "tie_word_embeddings": True,
        "num_key_value_heads": 4,
    },
    "gemma_untied_linear": {
        "style": 4,
        "model_type": "gemma",
        "head_dim": 16,
        "rope_theta": 10000.0,
        "rope_scaling": {"rope_type": "linear", "factor": 3.0},
    },
    "gemma2_alternating": {
        "style": 4,
        "model_type": "gemma2",
        "num_hidden_layers": 3,
        "tie_word_embeddings": True,
        "head_dim": 32,
        "sliding_window": 8,
        "query_pre_attn_scalar": 24,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 1.5,
        "rope_theta": 10000.0,
    },
    "gemma2_layer_types": {
        "style": 5,
        "model_type": "gemma2",
        "head_dim": 16,
        "sliding_window": 5,
        "layer_types": ["full_attention", "sliding_attention"],
        "tie_word_embeddings": True,
        "num_key_value_heads": 4,
        "attention_bias": True,
    },
    "gemma2_no_softcaps": {
        "style": 5,
        "model_type": "gemma2",
        "head_dim": 40,
        "sliding_window": 64,
        "tie_word_embeddings": True,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "num_key_value_heads": 1,
    },
    "gemma3_every_second_is_full": {
        "style": 4,
        "model_type": "gemma3_text",
        "num_hidden_layers": 3,
        "tie_word_embeddings": True,
        "head_dim": 32,
        "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "query_pre_attn_scalar": 24,
        "rope_theta": 100000.0,
        "rope_local_base_freq": 1000.0,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    },
    "gemma3_softcap_biases": {
        "style": 5,
        "model_type": "gemma3_text",
        "head_dim": 24,
        "num_key_value_heads": 4,
        "sliding_window": 5,
        "layer_types": ["full_attention", "sliding_attention"],
        "attention_bias": True,
        "tie_word_embeddings": True,
        "final_logit_softcapping": 3.0,
    },
    "gemma3_all_slide": {
        "style": 5,
        "model_type": "gemma3_text",
        "head_dim": 16,
        "num_key_value_heads": 1,
        "sliding_window": 7,
        "tie_word_embeddings": True,
    },
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
    "mistral_odd_heads_all_slide_yarn": {
        "style": 5,
        "model_type": "mistral",
        "hidden_size": 48,
        "num_attention_heads": 3,
        "num_key_value_heads": 3,
        "head_dim": 24,
        "sliding_window": 12,
        "rope_parameters": {**YARN, "truncate": False},
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
        "rope_scaling": {key: value for key, value in YARN.items() if key != "rope_theta"},
    },
    "phi_tied_yarn": {
        "style": 5,
        "model_type": "phi",
        "tie_word_embeddings": True,
        "num_key_value_heads": 1,
        "rope_parameters": {**YARN, "partial_rotary_factor": 0.5},
    },
    "gemma_odd_heads_llama3": {
        "style": 5,
        "model_type": "gemma",
        "hidden_size": 48,
        "num_attention_heads": 3,
        "num_key_value_heads": 3,
        "head_dim": 20,
        "tie_word_embeddings": True,
        "rope_parameters": LLAMA3,
    },
    "gemma2_odd_heads_all_slide_linear": {
        "style": 4,
        "model_type": "gemma2",
        "hidden_size": 48,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
        "head_dim": 24,
        "sliding_window": 7,
        "layer_types": ["sliding_attention", "sliding_attention"],
        "rope_theta": 10000.0,
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    },
    "gemma3_odd_heads_untied_yarn": {
        "style": 5,
        "model_type": "gemma3_text",
        "hidden_size": 48,
        "num_attention_heads": 3,
        "num_key_value_heads": 3,
        "head_dim": 20,
        "sliding_window": 6,
        "layer_types": ["full_attention", "sliding_attention"],
        "rope_parameters": {
            "full_attention": YARN,
            "sliding_attention": {"rope_type": "default", "rope_theta": 1000.0},
        },
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
    "glm4_odd_heads_yarn": {
        "style": 5,
        "model_type": "glm4",
        "hidden_size": 80,
        "num_attention_heads": 5,
        "num_key_value_heads": 5,
        "head_dim": 16,
        "rope_parameters": {**YARN, "partial_rotary_factor": 0.5},
    },
    "gpt_oss_yarn_not_truncated": {
        "style": 4,
        "model_type": "gpt_oss",
        **MIXTURE,
        "sliding_window": 9,
        "rope_theta": 150000.0,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 8.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
            "original_max_position_embeddings": 64,
        },
    },
    "gpt_oss_full_heads_mxfp4": {
        "style": 4,
        "model_type": "gpt_oss",
        **MIXTURE,
        "num_key_value_heads": 4,
        "num_local_experts": 3,
        "num_experts_per_tok": 2,
        "hidden_size": 64,
        "intermediate_size": 32,
        "sliding_window": 5,
        "layer_types": ["full_attention", "sliding_attention"],
        "rope_theta": 10000.0,
        "rope_scaling": {key: value for key, value in YARN.items() if key != "rope_theta"},
        "quantization_config": {"quant_method": "mxfp4"},
    },
    "gpt_oss_no_biases_tied": {
        "style": 5,
        "model_type": "gpt_oss",
        **MIXTURE,
        "num_key_value_heads": 1,
        "head_dim": 24,
        "num_experts_per_tok": 1,
        "attention_bias": False,
        "tie_word_embeddings": True,
        "sliding_window": 4,
        "swiglu_alpha": 1.5,
        "swiglu_limit": 0.75,
    },
    "gpt_oss_odd_heads_linear": {
        "style": 5,
        "model_type": "gpt_oss",
        **MIXTURE,
        "vocab_size": 101,
        "hidden_size": 48,
        "num_attention_heads": 3,
        "num_key_value_heads": 3,
        "num_hidden_layers": 3,
        "num_local_experts": 7,
        "num_experts_per_tok": 4,
        "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention"],
        "sliding_window": 16,
        "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0},
    },
    "qwen3_moe_grouped": {
        "style": 4,
        "model_type": "qwen3_moe",
        **QWEN_MIXTURE,
        "norm_topk_prob": True,
        "rope_theta": 1000000.0,
    },
    "qwen3_moe_dense_layers_tied": {
        "style": 5,
        "model_type": "qwen3_moe",
        **QWEN_MIXTURE,
        "num_hidden_layers": 3,
        "mlp_only_layers": [0],
        "decoder_sparse_step": 2,
        "tie_word_embeddings": True,
        "num_key_value_heads": 1,
    },
    "qwen3_moe_all_slide_full_heads": {
        "style": 5,
        "model_type": "qwen3_moe",
        **QWEN_MIXTURE,
        "num_key_value_heads": 4,
        "use_sliding_window": True,
        "sliding_window": 7,
        "head_dim": 24,
        "attention_bias": True,
        "num_experts_per_tok": 3,
        "rope_parameters": YARN,
    },
    "qwen3_moe_odd_heads_one_expert": {
        "style": 4,
        "model_type": "qwen3_moe",
        **QWEN_MIXTURE,
        "hidden_size": 80,
        "num_attention_heads": 5,
        "num_key_value_heads": 5,
        "num_experts": 3,
        "num_experts_per_tok": 1,
        "norm_topk_prob": True,
        "hidden_act": "gelu",
        "vocab_size": 101,
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "linear", "factor": 2.0},
    },
    "llama_dynamic": {
        "style": 4,
        "model_type": "llama",
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "dynamic", "factor": 2.0},
    },
}


def reference(config: dict[str, Any], seed: int) -> torch.nn.Module:
    """The transformers model of `config` with every weight made by the goldens' rule."""
    fields = copy.deepcopy(config)
    fields.pop("quantization_config", None)
    made = AutoConfig.for_model(fields.pop("model_type"), **fields)
    model = AutoModelForCausalLM.from_config(made, attn_implementation="eager").float().eval()
    shapes = golden_experts.stored(model, config)
    stored = {
        name: torch.from_numpy(goldens.weight(seed, name, shape)) for name, shape in shapes.items()
    }
    state = golden_experts.joined(stored)
    if made.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    return model


_OLD_KEYS = ("rope_theta", "rope_local_base_freq", "rope_scaling", "partial_rotary_factor")


def stored_config(model: torch.nn.Module, case: dict[str, Any], style: int) -> dict[str, Any]:
    """config.json as transformers 5 writes it, or as transformers 4 did."""
    config: dict[str, Any] = model.config.to_diff_dict()
    if "quantization_config" in case:
        config["quantization_config"] = case["quantization_config"]
    config["architectures"] = [type(model).__name__]
    if style == 4:
        config.pop("rope_parameters")
        config.pop("dtype", None)
        config |= {key: case[key] for key in _OLD_KEYS if key in case}
        config |= {"torch_dtype": "float32", "transformers_version": "4.57.1"}
        if "layer_types" not in case:
            config.pop("layer_types", None)
        if "num_experts" in case:
            config["num_experts"] = config.pop("num_local_experts")
    return config


def make(name: str) -> goldens.Golden:
    """Runs one case."""
    case = {**SMALL, **CASES[name]}
    style = case.pop("style")
    golden, model = run(name, case)
    return replace(golden, config=stored_config(model, CASES[name], style))


def run(name: str, config: dict[str, Any]) -> tuple[goldens.Golden, torch.nn.Module]:
    """The golden of `config` as it stands, and the model that computed it."""
    seed = zlib.crc32(name.encode())
    model = reference(config, seed)
    count = PROMPT + DECODED
    drawn = (goldens.uniform(seed, "token_ids", count) + 1) / 2 * model.config.vocab_size
    token_ids = [int(value) for value in drawn]
    positions = sorted(
        {0, 6, 20, PROMPT - 1, PROMPT, PROMPT + 8, count - 1} | _around(config, count)
    )
    rows = _rows(model, token_ids, positions)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    state = golden_experts.stored(model, config)
    golden = goldens.Golden(
        name=name,
        config=config,
        tensors={key: shape for key, shape in state.items() if key not in tied},
        seed=seed,
        prompt_tokens=PROMPT,
        token_ids=token_ids,
        positions=positions,
        rows=rows.astype(np.float32),
    )
    return golden, model


def _around(config: dict[str, Any], count: int) -> set[int]:
    """The last position of LongRoPE's short factors and the first of its long ones."""
    table = config.get("rope_parameters") or config.get("rope_scaling") or {}
    switch = config.get("original_max_position_embeddings", count)
    kind = table.get("rope_type") or table.get("type")
    return {switch - 1, switch} if kind == "longrope" and switch < count else set()


def _rows(model: torch.nn.Module, token_ids: list[int], positions: list[int]) -> Any:
    """The logits after each of `positions`."""
    kind = (getattr(model.config, "rope_parameters", None) or {}).get("rope_type")
    with torch.no_grad():
        if kind != "longrope":
            return model(torch.tensor([token_ids])).logits[0].numpy()[positions]
        # How a token is rotated depends on how many there are: each text by itself, as `generate`
        # begins again where the other factors begin.
        texts = [torch.tensor([token_ids[: position + 1]]) for position in positions]
        return np.stack([model(text).logits[0, -1].numpy() for text in texts])


def main(wanted: list[str]) -> None:
    """Writes the goldens named, or all."""
    for name in wanted or CASES:
        golden = make(name)
        goldens.save(golden)
        print(f"{name}: largest logit {np.abs(golden.rows).max():.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
