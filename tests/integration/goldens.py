"""Goldens: tiny random models with logits that transformers computed for them in float32.

A golden stores the configuration, the shape of every checkpoint tensor and a few rows of logits.
The weights are not stored: both sides make them from the seed, by a rule that uses only the raw
bits of PCG64, which numpy guarantees never to change.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _pytest.mark import ParameterSet
from numpy.typing import NDArray
from safetensors.numpy import save_file

FOLDER = Path(__file__).parents[1] / "data" / "goldens"
# One configuration of each family, with as much as one has of what is special about it, for slow
# tests.
EACH_FAMILY = (
    "cohere2_as_published",
    "cohere_as_published",
    "ernie4_5_grouped_tied",
    "exaone4_mixed",
    "gemma2_alternating",
    "gemma3_heads_and_scale",
    "gemma_one_kv_head",
    "glm4_grouped",
    "glm_grouped",
    "gpt_oss_full_heads_mxfp4",
    "granite_as_published",
    "llama_odd_sizes",
    "mistral_window",
    "ministral3_as_published",
    "nemotron_grouped",
    "olmo2_grouped",
    "olmo3_as_published",
    "phi3_longrope_long",
    "phi_full_heads",
    "qwen2_upper_layers_slide",
    "qwen3_biases_layer_types",
    "qwen3_moe_grouped",
    "seed_oss_grouped",
    "smollm3_still_layers_slide",
    "stablelm_as_published",
    "starcoder2_window",
)
# Those that run whatever has changed, one for each thing that sets families apart: windows, norms
# of heads and of rows, experts, another rotation of long texts, parallel blocks with plain norms.
ALWAYS = (
    "gemma3_heads_and_scale",
    "gpt_oss_full_heads_mxfp4",
    "llama_odd_sizes",
    "mistral_window",
    "olmo2_grouped",
    "phi3_longrope_long",
    "phi_full_heads",
)


@dataclass(frozen=True)
class Golden:
    """One configuration with its expected logits: `rows` float32 [len(positions), vocab]."""

    name: str
    config: dict[str, Any]
    tensors: dict[str, list[int]]
    seed: int
    prompt_tokens: int
    token_ids: list[int]
    positions: list[int]
    rows: NDArray[np.float32]

    @property
    def vocab_size(self) -> int:
        """How many tokens the model knows."""
        return self.rows.shape[1]


def names() -> list[str]:
    """Every golden there is."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def cases() -> list[ParameterSet]:
    """Their names as parameters: all but a few only when what they test has changed."""
    changed = pytest.mark.group("goldens")
    return [pytest.param(name, marks=() if name in ALWAYS else changed) for name in names()]


def load(name: str) -> Golden:
    """The golden called `name`."""
    fields = json.loads((FOLDER / f"{name}.json").read_text())
    return Golden(name=name, **{**fields, "rows": np.array(fields["rows"], np.float32)})


def save(golden: Golden) -> None:
    """Writes one golden; six digits are a hundred times finer than what is compared."""
    rows = [[float(f"{value:.6g}") for value in row] for row in golden.rows]
    fields = {key: value for key, value in vars(golden).items() if key not in ("name", "rows")}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items()]
    table = ",\n".join(json.dumps(row) for row in rows)
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = "{\n" + ",\n".join(lines) + ',\n"rows": [\n' + table + "\n]}\n"
    (FOLDER / f"{golden.name}.json").write_text(text)


def uniform(seed: int, name: str, count: int) -> NDArray[np.float64]:
    """`count` numbers in [-1, 1), the same for ever."""
    bits = np.random.PCG64([seed, zlib.crc32(name.encode())]).random_raw(count)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def weight(seed: int, name: str, shape: list[int]) -> NDArray[Any]:
    """Matrices by fan-in, norms around 1, biases around 0; mxfp4 as it is stored."""
    if name.endswith("_blocks"):
        return (
            ((uniform(seed, name, int(np.prod(shape))) + 1) * 128).astype(np.uint8).reshape(shape)
        )
    if name.endswith("_scales"):
        draw = uniform(seed, name, int(np.prod(shape)))
        return (122 + np.floor(draw * 1.5)).astype(np.uint8).reshape(shape)
    values = uniform(seed, name, int(np.prod(shape))).reshape(shape)
    if ".experts." in name and name.endswith(("_proj", ".weight")):
        # gpt-oss stores its experts transposed.
        values = values * np.sqrt(3.0 / shape[1])
    elif len(shape) == 2 and not name.endswith("_bias"):
        values = values * np.sqrt(3.0 / shape[1])
    elif "norm" in name and name.endswith("weight"):
        values = 1.0 + 0.3 * values
    else:
        values = 0.3 * values
    return values.astype(np.float32)


def weights(golden: Golden) -> dict[str, NDArray[Any]]:
    """The whole checkpoint of a golden."""
    return {name: weight(golden.seed, name, shape) for name, shape in golden.tensors.items()}


def write_checkpoint(
    golden: Golden, folder: Path, tensors: dict[str, NDArray[Any]] | None = None
) -> Path:
    """A model folder as a user would have it: config.json and model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(golden.config))
    save_file(tensors or weights(golden), folder / "model.safetensors", metadata={"format": "pt"})
    return folder
