"""A text model's tensors under their usual names, whichever class of transformers saved them."""

from __future__ import annotations

from dataclasses import replace

from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.safetensors import Checkpoint

_PREFIX = "model."
_HEAD = "lm_head.weight"
_EMBEDDING = "embed_tokens.weight"


def usual(checkpoint: Checkpoint, config: ModelConfig) -> Checkpoint:
    """`checkpoint` as `AutoModelForCausalLM` saves it.

    `AutoModel` leaves out the prefix (and the head, which nothing needs where it is tied). Where
    config.json ties them, a file may hold the head alone: it is the embedding, too.
    """
    tensors = dict(checkpoint.tensors)
    if _EMBEDDING in tensors and not any(name.startswith(_PREFIX) for name in tensors):
        renamed = {
            name if name.startswith("lm_head.") else _PREFIX + name: entry
            for name, entry in tensors.items()
        }
        tensors = {name: replace(entry, name=name) for name, entry in renamed.items()}
    embedding = _PREFIX + _EMBEDDING
    is_tied = config.take("tie_word_embeddings", bool, None) is True
    if is_tied and _HEAD in tensors and embedding not in tensors:
        tensors[embedding] = replace(tensors.pop(_HEAD), name=embedding)
    return Checkpoint(tensors)
