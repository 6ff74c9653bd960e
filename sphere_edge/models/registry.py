"""Which family builds a `model_type`, and the check that nothing in config.json went unread."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats import text_part
from sphere_edge.formats.config import ModelConfig
from sphere_edge.quantization.weights import WeightFormat

if TYPE_CHECKING:
    # At run time only where a model is built: a config is read without the compiler.
    from sphere_edge.models.decoder import Decoder
    from sphere_edge.models.layers import Numerics

# model_type → the module of this package that builds it.
FAMILIES: dict[str, str] = {
    "llama": "llama",
    "mistral": "mistral",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "phi": "phi",
    "phi3": "phi3",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3_text",
    "nemotron": "nemotron",
    "glm": "glm",
    "glm4": "glm4",
    "gpt_oss": "gpt_oss",
    "gpt-oss": "gpt_oss",
    "qwen3_moe": "qwen3_moe",
    "smollm3": "smollm3",
    "cohere": "cohere",
    "cohere2": "cohere2",
    "ernie4_5": "ernie4_5",
    "exaone4": "exaone4",
    "granite": "granite",
    "ministral3": "ministral3",
    "olmo2": "olmo2",
    "olmo3": "olmo3",
    "seed_oss": "seed_oss",
    "stablelm": "stablelm",
    "starcoder2": "starcoder2",
}

# Keys that never change the logits of a prompt: training, generation, bookkeeping.
_HARMLESS = frozenset(
    {
        "_attn_implementation",
        "_attn_implementation_autoset",
        "_name_or_path",
        "add_cross_attention",
        "architectures",
        "attention_dropout",
        "attn_implementation",
        "auto_map",
        "begin_suppress_tokens",
        "bos_token_id",
        "cache_implementation",
        "chunk_size_feed_forward",
        "classifier_dropout",
        "cross_attention_hidden_size",
        "decoder_start_token_id",
        "dtype",
        "embd_pdrop",
        "embedding_dropout",
        "eos_token_id",
        "finetuning_task",
        "gradient_checkpointing",
        "hidden_dropout",
        "id2label",
        # A duplicate of YaRN's `original_max_position_embeddings`.
        "initial_context_length",
        "initializer_range",
        "is_decoder",
        "is_encoder_decoder",
        "label2id",
        "mlp_dropout",
        "name",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "pad_token_id",
        "prefix",
        "pretraining_tp",
        "problem_type",
        "pruned_heads",
        "resid_pdrop",
        "residual_dropout",
        "return_dict",
        "router_aux_loss_coef",
        "sep_token_id",
        "suppress_tokens",
        "task_specific_params",
        "tf_legacy_loss",
        "tokenizer_class",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "transformers.js_config",
        "unsloth_fixed",
        "unsloth_version",
        "use_bfloat16",
        "use_cache",
    }
)

# Keys that common checkpoints carry along, and the value with which they change nothing.
_NEUTRAL: dict[str, bool | int] = {
    "attention_bias": False,
    "full_attn_mod": 1,
    "interpolate_factor": 1,
    "is_llama_config": True,
    "lm_head_bias": False,
    "mlp_bias": False,
    "qk_layer_norms": False,
    "rope_interleaved": False,
    "use_mrope": False,
}


@dataclass(frozen=True)
class Family:
    """A family's module, its config of this model, and keys that were not read."""

    name: str
    config: Any
    model: Callable[[Any, Numerics], Any]
    unread: tuple[str, ...]

    def build(self, kernels: Any, fmt: WeightFormat) -> Decoder:
        """The model of this config; `kernels` None: only to be asked for its parameters."""
        from sphere_edge.models.layers import Numerics

        built: Decoder = self.model(self.config, Numerics(kernels, fmt))
        return built


def family(config: ModelConfig, context_tokens: int) -> Family:
    """The family of `config.model_type` with its config read, for a cache of `context_tokens`.

    Raises UnsupportedError for an unknown type, naming the known ones.
    """
    check_known(config)
    module = importlib.import_module(f"sphere_edge.models.{FAMILIES[config.model_type]}")
    read = module.Config.read(config, context_tokens)
    unread = {key for key in config.unread() - _HARMLESS if not _is_neutral(config, key)}
    return Family(config.model_type, read, module.Model, tuple(sorted(unread)))


def check_known(config: ModelConfig) -> None:
    """UnsupportedError for a model type that no family builds, naming those that are built."""
    if config.model_type not in FAMILIES:
        message = f"the model type `{config.model_type[:80]}` is not supported"
        inner = config.take("text_config", dict, {}).get("model_type")
        if isinstance(inner, str) and inner in FAMILIES:
            others = ", ".join(text_part.known())
            hint = f"it holds a `{inner}`, which is supported alone or as a part of: {others}"
            raise UnsupportedError(message, hint=hint)
        raise UnsupportedError(message, hint=f"supported: {', '.join(FAMILIES)}")


def _is_neutral(config: ModelConfig, key: str) -> bool:
    usual = _NEUTRAL.get(key)
    return usual is not None and config.take(key, type(usual)) == usual
