"""Goldens as models that can be packaged: they have the built-in model's tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import goldens
import numpy as np

from sphere_edge import resources

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
# Of the built-in model's vocabulary.
TOKENS = 2048


def changed(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """`config` with other values, those of the text part where it is of a multimodal model."""
    if "text_config" in config:
        return {**config, "text_config": {**config["text_config"], **changes}}
    return {**config, **changes}


def padded(golden: goldens.Golden, folder: Path, **changes: Any) -> Path:
    """A model folder whose first logits are the golden's: further tokens have empty rows.

    `changes`: other values in config.json.
    """
    tensors = goldens.weights(golden)
    for name, values in tensors.items():
        if values.shape[0] == golden.vocab_size:
            more = np.zeros((TOKENS - len(values), *values.shape[1:]), np.float32)
            tensors[name] = np.concatenate([values, more])
    goldens.write_checkpoint(golden, folder, tensors)
    config = changed(golden.config, vocab_size=TOKENS, **changes)
    (folder / "config.json").write_text(json.dumps(config))
    for name in TOKENIZER_FILES:
        shutil.copy(resources.tiny_model() / name, folder / name)
    return folder
