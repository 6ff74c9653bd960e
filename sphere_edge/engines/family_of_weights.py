"""What a checkpoint's tensors say about its model where config.json says otherwise, or nothing."""

from __future__ import annotations

from dataclasses import replace

from sphere_edge.console import Progress
from sphere_edge.engines import weights
from sphere_edge.formats.tensors import Tensors
from sphere_edge.models.registry import Family
from sphere_edge.models.shape import Shape

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


def untied(made: Family, checkpoint: Tensors, progress: Progress) -> Family:
    """The family, with a head of its own where the checkpoint's differs from the embedding.

    Some checkpoints say tied and hold both; transformers 5 ties them only if they are the same.
    """
    shape: Shape = made.config.shape
    if not shape.tied or _HEAD not in checkpoint.tensors or _EMBEDDING not in checkpoint.tensors:
        return made
    if not weights.differ(checkpoint, _EMBEDDING, _HEAD):
        return made
    progress.warn(
        f"`{_HEAD}` differs from the embedding that config.json ties it to; both are kept"
    )
    return replace(made, config=replace(made.config, shape=replace(shape, tied=False)))


def warn(made: Family, unused: tuple[str, ...], progress: Progress) -> None:
    """Says which keys of config.json were not understood and which tensors are not used."""
    if made.unread:
        progress.warn(f"config.json has keys that are not understood: {', '.join(made.unread)}")
    left = [name for name in unused if name != _HEAD]
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        progress.warn(f"tensors that the model does not use: {', '.join(left[:3])}{more}")
