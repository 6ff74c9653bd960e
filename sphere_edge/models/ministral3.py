"""Ministral 3 (Mistral AI 2025): Mistral with YaRN, up to the context that YaRN begins with.

Beyond that, queries would be multiplied by a factor that grows with their position.
"""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.config import ModelConfig, RopeDefaults
from sphere_edge.models import mistral
from sphere_edge.models.mistral import Model
from sphere_edge.models.rope import rotation
from sphere_edge.models.shape import Shape, activation, window

__all__ = ["Config", "Model"]

# In the table for RoPE; the second repeats a key outside it.
_GROWTH, _LONGEST = "llama_4_scaling_beta", "max_position_embeddings"


@dataclass(frozen=True)
class Config(mistral.Config):
    """The config.json of a Ministral 3."""

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("rms_norm_eps", 1e-5), default_head_dim=128)
        rope = config.rope(familiar=(_GROWTH, _LONGEST), defaults=RopeDefaults(theta=1000000.0))
        original = rope.original_context
        if original is not None and context_tokens > original:
            message = f"a context of `{context_tokens}` tokens is not supported in Ministral 3"
            hint = f"up to `--context {original}` it is: queries beyond are scaled by `{_GROWTH}`"
            raise UnsupportedError(message, hint=hint)
        return cls(
            shape=shape,
            rotation=rotation(rope, shape.head_dim, context_tokens),
            activation=activation(config),
            window=window(config),
        )
