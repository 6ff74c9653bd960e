"""The sizes that every decoder's config.json gives, checked before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats.config import ModelConfig

# Larger than any published model by an order of magnitude; keeps absurd files from eating memory.
_LIMIT = 1 << 24
_LAYERS_LIMIT = 1 << 12
# transformers' names of activations, and ours: for gated MLPs, and for plain ones.
_GATED = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
_PLAIN = {**_GATED, "relu2": "relu2"}


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder: in features, unless named otherwise."""

    vocab: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context_tokens: int
    epsilon: float
    tied: bool

    @property
    def query(self) -> int:
        """Features of all query heads together."""
        return self.heads * self.head_dim

    @property
    def key(self) -> int:
        """Features of all key (or value) heads together."""
        return self.kv_heads * self.head_dim

    @classmethod
    def read(
        cls,
        config: ModelConfig,
        *,
        epsilon: tuple[str, float] = ("rms_norm_eps", 1e-6),
        default_head_dim: int | None = None,
        default_tied: bool = False,
    ) -> Shape:
        """The sizes in `config`; keyword arguments are what differs between families.

        `epsilon`: the key of the norms' epsilon and its default.
        Raises ModelCorruptError where a size is missing, absurd or contradicts another.
        """

        def size(name: str, default: int | None = None) -> int:
            value = config.take(name, int) if default is None else config.take(name, int, default)
            limit = _LAYERS_LIMIT if name == "num_hidden_layers" else _LIMIT
            if not 0 < value < limit:
                message = f"`{name}` in config.json is `{value}`"
                raise ModelCorruptError(message)
            return value

        hidden, heads = size("hidden_size"), size("num_attention_heads")
        kv_heads = size("num_key_value_heads", heads)
        divided = hidden // heads if hidden % heads == 0 else None
        head_dim = size("head_dim", default_head_dim or divided)
        if heads % kv_heads or head_dim % 2:
            message = (
                f"config.json has `{heads}` query heads for `{kv_heads}` key heads "
                f"of `{head_dim}` features"
            )
            raise ModelCorruptError(message)
        return cls(
            vocab=size("vocab_size"),
            hidden=hidden,
            intermediate=size("intermediate_size"),
            layers=size("num_hidden_layers"),
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            context_tokens=size("max_position_embeddings"),
            epsilon=config.take(epsilon[0], float, epsilon[1]),
            tied=config.take("tie_word_embeddings", bool, default_tied),
        )


def activation(
    config: ModelConfig, name: str = "hidden_act", default: str = "silu", *, gated: bool = True
) -> str:
    """Our name of the MLP's activation; raises UnsupportedError for others."""
    known = _GATED if gated else _PLAIN
    value = config.take(name, str, default)
    if value not in known:
        message = f"the activation `{value}` (`{name}`) is not supported"
        raise UnsupportedError(message, hint=f"supported: {', '.join(known)}")
    return known[value]


def window(config: ModelConfig, default: int | None = None) -> int | None:
    """`sliding_window` for all layers; null means none, whatever the family's default is."""
    if config.is_null("sliding_window"):
        return None
    width = config.take("sliding_window", int, default)
    if width is not None and width <= 0:
        message = f"`sliding_window` in config.json is `{width}`"
        raise ModelCorruptError(message)
    return width


def softcap(config: ModelConfig, name: str, default: float | None = None) -> float | None:
    """A softcap by name; null means none."""
    if config.is_null(name):
        return None
    value = config.take(name, float, default)
    if value is not None and value <= 0:
        message = f"`{name}` in config.json is `{value}`"
        raise ModelCorruptError(message)
    return value


def refuse_bidirectional(config: ModelConfig) -> None:
    """Raises UnsupportedError for a Gemma made to embed text, whose tokens see what follows."""
    if config.take("use_bidirectional_attention", bool, False):
        message = "`use_bidirectional_attention` is not supported"
        raise UnsupportedError(message, hint="only models that generate text are")


def windows(config: ModelConfig, layers: int) -> tuple[int | None, ...]:
    """Each layer's sliding window by `use_sliding_window` and `max_window_layers` or `layer_types`.

    This is how the qwen families write it. None: the layer sees everything.
    """
    used = config.take("use_sliding_window", bool, False)
    width = window(config, 4096)
    first = config.take("max_window_layers", int, 28)
    kinds = layer_types(config, layers)
    if kinds is None:
        slides = [used and layer >= first for layer in range(layers)]
    else:
        slides = [kind == "sliding_attention" for kind in kinds]
    return tuple(width if used and sliding else None for sliding in slides)


def alternating(
    config: ModelConfig, layers: int, *, period: int, width: int | None
) -> tuple[int | None, ...]:
    """Each layer's window, `width` or None: as in `layer_types`, which may be absent.

    Then every `period`-th layer sees everything and the others slide.
    """
    kinds = layer_types(config, layers)
    if kinds is None:
        slides = [(layer + 1) % period != 0 for layer in range(layers)]
    else:
        slides = [kind == "sliding_attention" for kind in kinds]
    return tuple(width if sliding else None for sliding in slides)


def pattern(config: ModelConfig, default: int) -> int:
    """`sliding_window_pattern`: every nth layer sees everything; `LLLG` means 4."""
    name = "sliding_window_pattern"
    if config.is_text(name):
        letters = config.take(name, str)
        return len(letters) if letters == "L" * (len(letters) - 1) + "G" else 0
    return config.take(name, int, default)


def layer_types(config: ModelConfig, layers: int) -> list[str] | None:
    """`layer_types`, one per layer, each a kind of attention that is done here; None if absent."""
    kinds = config.take("layer_types", list, None)
    if kinds is None:
        return None
    for kind in kinds:
        if kind not in ("full_attention", "sliding_attention"):
            message = f"the layer type `{kind}` is not supported"
            raise UnsupportedError(message, hint="supported: full_attention, sliding_attention")
    if len(kinds) != layers:
        message = f"`layer_types` has `{len(kinds)}` entries for `{layers}` layers"
        raise ModelCorruptError(message)
    return kinds
