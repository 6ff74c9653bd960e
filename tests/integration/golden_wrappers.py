"""Multimodal models of transformers, and the names that their checkpoints on the hub have."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForImageTextToText

# Where the text part lies in a checkpoint, by the wrapper's type; the others have it where
# transformers 5 has it.
_LANGUAGE_MODEL = ("gemma3", "internvl", "llava", "llava_next", "llava_onevision", "mistral3")
_ROOTS = ("model.language_model.", "model.text_model.")
# Enough to see that they are left out.
_OTHERS_KEPT = 2


def is_wrapper(config: dict[str, Any]) -> bool:
    """Whether `config` is of a multimodal model."""
    return "vision_config" in config


def made(config: Any) -> torch.nn.Module:
    """The model of `config`; its pictures' part has whatever weights."""
    model: torch.nn.Module = AutoModelForImageTextToText.from_config(
        config, attn_implementation="eager", dtype=torch.float32
    )
    return model


def stored_names(model: torch.nn.Module, config: dict[str, Any]) -> dict[str, str]:
    """Names in transformers' state → in the checkpoint; all of the text part, few of the others."""
    kind = config["model_type"]
    names = list(model.state_dict())
    text = [name for name in names if name.startswith((*_ROOTS, "lm_head."))]
    others = [name for name in names if name not in text][:_OTHERS_KEPT]
    return {name: _stored(name, kind, config) for name in text + others}


def _stored(name: str, kind: str, config: dict[str, Any]) -> str:
    if kind in _LANGUAGE_MODEL and config.get("architectures") is not None:
        if name.startswith("lm_head."):
            return f"language_model.{name}"
        own = name.removeprefix("model.")
        return own.replace("language_model.", "language_model.model.", 1)
    if kind == "qwen2_vl" and "text_config" not in config:
        own = name.replace("model.language_model.", "model.", 1)
        return own.removeprefix("model.") if own.startswith("model.visual.") else own
    return name
