"""A model's config.json as checked values, whichever transformers version wrote it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, overload

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats import json_object, text_part

RopeKind = Literal["default", "linear", "dynamic", "yarn", "longrope", "llama3"]
# Older files call it by the name it had in the paper's code.
_ROPE_ALIASES = {"su": "longrope"}

# All keys that a RoPE table may have.
_ROPE_KEYS = frozenset(
    {
        "attention_factor",
        "beta_fast",
        "beta_slow",
        "factor",
        "high_freq_factor",
        "long_factor",
        "low_freq_factor",
        "mscale",
        "mscale_all_dim",
        "original_max_position_embeddings",
        "partial_rotary_factor",
        "rope_theta",
        "rope_type",
        "short_factor",
        "truncate",
        "type",
    }
)

Value = TypeVar("Value", bool, int, float, str, list[Any], dict[str, Any])
Default = TypeVar("Default")
_REQUIRED: Any = object()
_CONFIG_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class RopeDefaults:
    """A family's values for the keys of RoPE that a config.json leaves out."""

    theta: float = 10000.0
    partial_rotary_factor: float = 1.0
    original_context: int | None = None


@dataclass(frozen=True)
class RopeParameters:
    """Rotary position embedding, named as in transformers' `rope_parameters`.

    `original_context`, in tokens, is the context before scaling. Fields that the kind does not use
    are None.
    """

    kind: RopeKind = "default"
    theta: float = 10000.0
    partial_rotary_factor: float = 1.0
    factor: float | None = None
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None
    original_context: int | None = None
    attention_factor: float | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool | None = None
    short_factor: tuple[float, ...] | None = None
    long_factor: tuple[float, ...] | None = None


def _checked(name: str, value: object, kind: type) -> Any:
    """`value` as a `kind`; a whole number passes as a float, but true is not a number."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    sound = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if sound and isinstance(value, float) and not math.isfinite(value):
        sound = False
    if not sound:
        shown = repr(value)[:80]
        message = f"`{name}` in config.json is `{shown}` where {_ARTICLES[kind]} belongs"
        raise ModelCorruptError(message)
    return value


_ARTICLES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


# Where AutoGPTQ and AutoAWQ wrote what is in config.json today, and AutoAWQ's names for it.
_GPTQ_FILE, _AWQ_FILE = "quantize_config.json", "quant_config.json"
_AWQ_KEYS = {"w_bit": "bits", "q_group_size": "group_size"}


def _quantization_beside(folder: Path) -> dict[str, Any]:
    """`quantization_config` from a file of its own, {} without one."""
    if (folder / _GPTQ_FILE).is_file():
        settings = json_object.read(folder / _GPTQ_FILE, _CONFIG_LIMIT_BYTES)
        return {"quantization_config": {"quant_method": "gptq", **settings}}
    if (folder / _AWQ_FILE).is_file():
        settings = json_object.read(folder / _AWQ_FILE, _CONFIG_LIMIT_BYTES)
        renamed = {_AWQ_KEYS.get(key, key): value for key, value in settings.items()}
        return {"quantization_config": {"quant_method": "awq", **renamed}}
    return {}


class ModelConfig:
    """The keys of a config.json, each read once, typed, and remembered as read.

    `model_type` names the family. A key whose value is null counts as absent. Of a multimodal
    model, `wrapper`, these are the keys of its text part.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.wrapper: str | None = values["model_type"] if text_part.is_wrapper(values) else None
        values = text_part.config(values)
        self._values = {key: value for key, value in values.items() if value is not None}
        self._nulls = set(values) - set(self._values)
        self._read: set[str] = set()
        self._strange: set[str] = set()
        self.model_type: str = self.take("model_type", str)

    @classmethod
    def read(cls, folder: Path) -> ModelConfig:
        """The config.json in `folder`; raises NotFoundError, ModelCorruptError or StorageError."""
        values = json_object.read(folder / "config.json", _CONFIG_LIMIT_BYTES)
        if values.get("quantization_config") is None:
            values = {**values, **_quantization_beside(folder)}
        return cls(values)

    @overload
    def take(self, name: str, kind: type[Value]) -> Value: ...
    @overload
    def take(self, name: str, kind: type[Value], default: Default) -> Value | Default: ...
    def take(self, name: str, kind: type[Any], default: Any = _REQUIRED) -> Any:
        """The value of `name` as a bool, int, float, str, list or dict; `default` if it is absent.

        Raises ModelCorruptError if it is absent without a default, or of another type.
        """
        self._read.add(name)
        if name in self._values:
            return _checked(name, self._values[name], kind)
        if default is _REQUIRED:
            message = f"config.json has no `{name}`"
            raise ModelCorruptError(message)
        return default

    def is_null(self, name: str) -> bool:
        """Whether the file says null, where a family's default means something else."""
        return name in self._nulls

    def is_text(self, name: str) -> bool:
        """Whether the file has a string where others have a number."""
        return isinstance(self._values.get(name), str)

    def unread(self) -> set[str]:
        """Keys with a value that was not read: what a family ignores may change the result.

        Those inside of a table for RoPE as `rope_scaling.key`.
        """
        return (set(self._values) - self._read) | self._strange

    def rope(
        self,
        *,
        layer_type: str | None = None,
        familiar: Iterable[str] = (),
        defaults: RopeDefaults = RopeDefaults(),
    ) -> RopeParameters:
        """The rotary embedding's parameters, those of `layer_type` where the file distinguishes.

        transformers 5 writes `rope_parameters`; transformers 4 `rope_theta` and `rope_scaling`,
        with `partial_rotary_factor` and `original_max_position_embeddings` beside them. `familiar`:
        further keys that the table may have, which the family sees to.
        Raises UnsupportedError for a kind of scaling we do not know, ModelCorruptError for a
        wrong type.
        """
        table = self._rope_table(layer_type, familiar)
        theta = self.take("rope_theta", float, defaults.theta)
        partial = self.take("partial_rotary_factor", float, defaults.partial_rotary_factor)
        longest = self.take("max_position_embeddings", int, None)
        own = self.take("original_max_position_embeddings", int, defaults.original_context)

        def number(name: str, default: float | None = None) -> float | None:
            value = table.get(name)
            return default if value is None else cast("float", _checked(name, value, float))

        kind = _rope_kind(table)
        original = number("original_max_position_embeddings", longest if own is None else own)
        if own is not None and layer_type is None:
            # transformers prefers the key outside the table to the one inside.
            original = own
        factor = number("factor")
        if factor is None and kind in ("yarn", "longrope") and longest and original:
            factor = longest / original
        truncate = table.get("truncate")
        return RopeParameters(
            kind=kind,
            theta=cast("float", number("rope_theta", theta)),
            partial_rotary_factor=cast("float", number("partial_rotary_factor", partial)),
            factor=factor,
            low_freq_factor=number("low_freq_factor"),
            high_freq_factor=number("high_freq_factor"),
            original_context=None if kind == "default" or original is None else int(original),
            attention_factor=number("attention_factor"),
            beta_fast=number("beta_fast"),
            beta_slow=number("beta_slow"),
            mscale=number("mscale"),
            mscale_all_dim=number("mscale_all_dim"),
            truncate=None if truncate is None else _checked("truncate", truncate, bool),
            short_factor=_numbers("short_factor", table.get("short_factor")),
            long_factor=_numbers("long_factor", table.get("long_factor")),
        )

    def _rope_table(self, layer_type: str | None, familiar: Iterable[str]) -> dict[str, Any]:
        scaling = self.take("rope_scaling", dict, {})
        table: dict[str, Any] = self.take("rope_parameters", dict, {}) or scaling
        name = "rope_scaling" if table is scaling else "rope_parameters"
        if layer_type is not None and layer_type in table:
            table = _checked(layer_type, table[layer_type], dict)
        elif table and all(isinstance(value, dict) for value in table.values()):
            message = f"config.json gives `rope_parameters` per layer type: {', '.join(table)}"
            hint = f"the family `{self.model_type}` asks for one only"
            raise UnsupportedError(message, hint=hint)
        strange = {key for key, value in table.items() if value is not None}
        strange -= _ROPE_KEYS.union(familiar)
        self._strange |= {f"{name}.{key}" for key in strange}
        return table


def _rope_kind(table: Mapping[str, Any]) -> RopeKind:
    name = _checked("rope_type", table.get("rope_type") or table.get("type") or "default", str)
    name = _ROPE_ALIASES.get(name, name)
    if name not in get_args(RopeKind):
        message = f"the model's RoPE scaling `{name[:80]}` is not supported"
        raise UnsupportedError(message, hint=f"supported: {', '.join(get_args(RopeKind))}")
    return cast("RopeKind", name)


def _numbers(name: str, value: object) -> tuple[float, ...] | None:
    if value is None:
        return None
    return tuple(_checked(name, item, float) for item in _checked(name, value, list))
