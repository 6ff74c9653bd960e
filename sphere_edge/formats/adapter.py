"""A LoRA adapter in PEFT's format, merged into the weights as they are read.

W' = W + scale B A with B [out, r], A [r, in] and scale = alpha / r, or alpha / sqrt(r) with
`use_rslora` (Hu et al. 2021; Kalajdzievski 2023; file layout: peft, `adapter_config.json` and
`adapter_model.safetensors`).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sphere_edge.errors import ModelCorruptError, NotFoundError, UnsupportedError
from sphere_edge.formats import json_object
from sphere_edge.formats.safetensors import Checkpoint, TensorEntry, read_header
from sphere_edge.formats.tensors import Tensors

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_CONFIG_LIMIT_BYTES = 2**20

# Keys of adapter_config.json (peft 0.17, LoraConfig) that say how it was trained, or what its
# tensors say, too.
_HARMLESS = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_dropout",
        "lora_ga_config",
        "megatron_core",
        "modules_to_save",
        "parent_library",
        "peft_version",
        "qalora_group_size",
        "revision",
        "runtime_config",
        "task_type",
    }
)
# Keys that are done, here or where the tensors are read.
_READ = frozenset(
    {
        "alpha_pattern",
        "init_lora_weights",
        "lora_alpha",
        "peft_type",
        "r",
        "rank_pattern",
        "target_modules",
        "use_rslora",
    }
)
# Ways to begin that leave the base model's weights alone. The others (pissa, olora, corda, loftq,
# lora_ga) take from them what the adapter begins with: it belongs to weights that are not there.
_LEAVES_BASE = ("gaussian", "eva", "orthogonal")
_NONE: tuple[object, ...] = (None, False, "", [], {}, "none")
# A pattern may repeat, but not what it repeats, nor often: no name can keep it busy.
_PATTERN_LIMIT, _REPEATS_LIMIT = 500, 3
_REPEAT = re.compile(r"(?<!\\)[*+?{]")
_REPEATED_GROUP = re.compile(r"\)[*+{]")

Floats = npt.NDArray[np.float32]


class Adapted:
    """`base` with the adapter in a folder merged in; memory does not grow with the model."""

    def __init__(self, base: Tensors, folder: Path) -> None:
        """Raises NotFoundError, UnsupportedError (another kind of adapter), ModelCorruptError.

        Everything in the adapter must belong to `base`: a part left out would be a
        model that was never trained.
        """
        if not (folder / CONFIG).is_file():
            message = f"there is no adapter in `{folder}`"
            raise NotFoundError(message, hint=f"an adapter is a folder with {CONFIG} and {WEIGHTS}")
        config = json_object.read(folder / CONFIG, _CONFIG_LIMIT_BYTES)
        _refuse_unknown(config)
        if not (folder / WEIGHTS).is_file():
            message = f"there is no `{WEIGHTS}` in `{folder}`"
            raise NotFoundError(message, hint="adapters as pickles are not loaded: save it again")
        self._base = base
        self._weights = Checkpoint({one.name: one for one in read_header(folder / WEIGHTS)})
        self._scales: dict[str, float] = {}
        self._replaced: dict[str, str] = {}
        for name in self._weights.tensors:
            self._assign(name, config)
        _check_targets(config, [name.removesuffix(".weight") for name in self._scales])
        self.tensors: Mapping[str, TensorEntry] = base.tensors

    def entry(self, name: str) -> TensorEntry:
        """As Tensors.entry."""
        return self._base.entry(name)

    def read(self, name: str, rows: slice | None = None) -> Floats:
        """As Tensors.read."""
        if name in self._replaced:
            return self._weights.read(self._replaced[name], rows)
        values = self._base.read(name, rows)
        if name not in self._scales:
            return values
        stem = _PREFIX + name.removesuffix(".weight")
        down = self._weights.read(f"{stem}.lora_A.weight")
        up = self._weights.read(f"{stem}.lora_B.weight", rows)
        change = np.float32(self._scales[name]) * (up @ down)
        if not np.isfinite(change).all():
            message = f"the adapter's numbers for `{name[:120]}` are not finite"
            raise ModelCorruptError(message, hint="the adapter is damaged: download it again")
        result: Floats = values + change
        return result

    def read_stored(self, name: str, rows: slice | None = None) -> npt.NDArray[Any]:
        """As Tensors.read_stored."""
        touched = name in self._replaced or name in self._scales
        return self.read(name, rows) if touched else self._base.read_stored(name, rows)

    def scales(self, name: str, rows: slice | None = None) -> Floats | None:
        """As Tensors.scales: none where the adapter has added to the weights."""
        if name in self._replaced or name in self._scales:
            return None
        return self._base.scales(name, rows)

    def _assign(self, name: str, config: dict[str, Any]) -> None:
        """Finds what the adapter's tensor `name` changes; every second one is a lora_B."""
        inner = name.removeprefix(_PREFIX)
        match = _FACTOR.fullmatch(inner)
        if inner == name or (match is None and "lora_" in inner):
            message = f"the adapter's tensor `{name[:120]}` is of a kind that is not supported"
            raise UnsupportedError(message, hint="LoRA of linear layers is")
        target = inner if match is None else f"{match['module']}.weight"
        if target not in self._base.tensors:
            message = f"the adapter changes `{target[:120]}`, which the model does not have"
            raise ModelCorruptError(message, hint="adapter and model do not belong together")
        shape = self._base.entry(target).shape
        if match is None:
            if self._weights.entry(name).shape != shape:
                raise _misfit(target, self._weights.entry(name).shape, shape)
            self._replaced[target] = name
        elif match["side"] == "A":
            self._scales[target] = self._scale(match["module"], shape, config)
        elif f"{_PREFIX}{match['module']}.lora_A.weight" not in self._weights.tensors:
            message = f"the adapter has `{name[:120]}` without its `lora_A`"
            raise ModelCorruptError(message)

    def _scale(self, module: str, shape: tuple[int, ...], config: dict[str, Any]) -> float:
        rank = _pattern(config, "rank_pattern", module, config["r"])
        alpha = _pattern(config, "alpha_pattern", module, config.get("lora_alpha", rank))
        down = self._weights.entry(f"{_PREFIX}{module}.lora_A.weight").shape
        up = self._weights.entry(f"{_PREFIX}{module}.lora_B.weight").shape
        if len(shape) != 2 or down != (rank, shape[1]) or up != (shape[0], rank):
            raise _misfit(module, (up, down), shape)
        return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def adapter_sha256(folder: Path) -> str:
    """Over the adapter's two files, so that bundles with another adapter have another origin."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        with (folder / name).open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _refuse_unknown(config: dict[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        message = f"the adapter is of type `{str(kind)[:40]}`"
        raise UnsupportedError(message, hint="supported: LORA")
    began = config.get("init_lora_weights", True)
    if not (began is None or isinstance(began, bool) or began in _LEAVES_BASE):
        message = f"the adapter begins as `{str(began)[:40]}`, which changes the base model, too"
        raise UnsupportedError(
            message,
            hint="save it as a plain LoRA: peft's save_pretrained with "
            "path_initial_model_for_weight_conversion",
        )
    for key, value in config.items():
        if key in _READ or key in _HARMLESS or value in _NONE:
            continue
        message = f"the adapter has `{key[:80]}` `{str(value)[:40]}`, which cannot be merged"
        raise UnsupportedError(message, hint="supported: LoRA of linear layers, with rsLoRA")
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        message = f"the adapter's rank `r` is `{str(rank)[:40]}`"
        raise ModelCorruptError(message)


def _pattern(config: dict[str, Any], key: str, module: str, usual: object) -> Any:
    """The number for `module`, by the first pattern that matches it."""
    table = config.get(key) or {}
    if not isinstance(table, dict):
        message = f"the adapter's `{key}` is `{str(table)[:40]}`, not patterns and numbers"
        raise ModelCorruptError(message)
    value = next((one for pattern, one in table.items() if _matches(pattern, module)), usual)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 2**20:
        message = f"the adapter's `{key}` gives `{str(value)[:40]}` for `{module[:120]}`"
        raise ModelCorruptError(message)
    return value


def _matches(pattern: str, module: str) -> bool:
    """Whether the regular expression fits the whole name or an end of it that follows a dot.

    As peft's `get_pattern_key` does it. Raises UnsupportedError for a pattern that could take
    for ever, ModelCorruptError for one that is none.
    """
    if module == pattern or module.endswith(f".{pattern}"):
        return True
    repeats = len(_REPEAT.findall(pattern))
    if len(pattern) > _PATTERN_LIMIT or repeats > _REPEATS_LIMIT or _REPEATED_GROUP.search(pattern):
        message = f"the adapter's pattern `{pattern[:80]}` repeats too much"
        raise UnsupportedError(message, hint="name the layers by the ends of their names")
    try:
        compiled = re.compile(pattern)
    # Repeated 10^14 times, or nested too deeply: neither is an re.error.
    except (re.error, OverflowError, RecursionError) as error:
        message = f"the adapter's pattern `{pattern[:80]}` is not a regular expression: {error}"
        raise ModelCorruptError(message) from error
    begins = [0, *(at + 1 for at, letter in enumerate(module) if letter == ".")]
    return any(compiled.fullmatch(module, begin) for begin in begins)


def _check_targets(config: dict[str, Any], modules: list[str]) -> None:
    """ModelCorruptError where the config names layers that the adapter does not change."""
    targets = config.get("target_modules")
    if not modules:
        message = "the adapter changes no layer"
        raise ModelCorruptError(message)
    for target in targets if isinstance(targets, list) else []:
        if not any(module == target or module.endswith(f".{target}") for module in modules):
            message = f"the adapter's target `{str(target)[:80]}` has no weights in it"
            raise ModelCorruptError(message, hint="the adapter's files do not belong together")


def _misfit(name: str, found: object, shape: tuple[int, ...]) -> ModelCorruptError:
    message = f"the adapter has {found} for `{name[:120]}`, whose shape is {shape}"
    return ModelCorruptError(message, hint="adapter and model do not belong together")
