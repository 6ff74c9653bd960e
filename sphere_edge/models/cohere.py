"""Cohere (Command R; Cohere 2024): Cohere 2 without windows, and all layers rotate."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models import cohere2
from sphere_edge.models.cohere2 import Model
from sphere_edge.models.rope import rotation
from sphere_edge.models.shape import Shape, activation

__all__ = ["Config", "Model"]


@dataclass(frozen=True)
class Config(cohere2.Config):
    """The config.json of a Cohere."""

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("layer_norm_eps", 1e-5), default_tied=True)
        if config.take("use_qk_norm", bool, False):
            message = "`use_qk_norm` is not supported"
            raise UnsupportedError(message)
        return cls(
            shape=shape,
            rotation=rotation(config.rope(), shape.head_dim, context_tokens),
            activation=activation(config),
            attention_bias=config.take("attention_bias", bool, False),
            windows=(None,) * shape.layers,
            rotates=(True,) * shape.layers,
            logit_scale=config.take("logit_scale", float, 0.0625),
        )
