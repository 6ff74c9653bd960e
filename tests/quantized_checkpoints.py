"""Writes checkpoints as GPTQ, AWQ and fp8 tools do, and adapters as PEFT does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sphere_edge.formats.safetensors import Writer

Arrays = dict[str, tuple[str, npt.NDArray[Any]]]


def write(path: Path, arrays: Arrays) -> None:
    """One safetensors file of name → (dtype, array)."""
    described = [(name, dtype, array.shape) for name, (dtype, array) in arrays.items()]
    with Writer(path, described) as writer:
        for name, (_, array) in arrays.items():
            writer.write(name, array)


def whole_numbers(
    rows: int, columns: int, group: int, *, symmetric: bool, seed: int = 3
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Random q 0..15 [columns, rows], zeros [groups, rows] and scales float16 [groups, rows]."""
    draws = np.random.default_rng(seed)
    groups = -(-columns // group)
    q = draws.integers(0, 16, (columns, rows), dtype=np.int64)
    zeros = np.full((groups, rows), 8) if symmetric else draws.integers(1, 16, (groups, rows))
    scales = draws.uniform(0.01, 0.1, (groups, rows)).astype(np.float16)
    return q, zeros, scales


def gptq(
    name: str,
    q: npt.NDArray[Any],
    zeros: npt.NDArray[Any],
    scales: npt.NDArray[Any],
    index: npt.NDArray[Any] | None = None,
    zero_offset: int = 1,
) -> Arrays:
    """AutoGPTQ's tensors: eight inputs in a word, and one less than each zero."""
    weight = sum(q[k::8] << (4 * k) for k in range(8))
    stored = (zeros - zero_offset) & 15
    packed = sum(stored[:, k::8] << (4 * k) for k in range(8))
    arrays: Arrays = {
        f"{name}.qweight": ("i32", np.asarray(weight).astype(np.uint32).view(np.int32)),
        f"{name}.qzeros": ("i32", np.asarray(packed).astype(np.uint32).view(np.int32)),
        f"{name}.scales": ("f16", scales),
    }
    if index is not None:
        arrays[f"{name}.g_idx"] = ("i32", index.astype(np.int32))
    return arrays


def awq(
    name: str, q: npt.NDArray[Any], zeros: npt.NDArray[Any], scales: npt.NDArray[Any]
) -> Arrays:
    """AutoAWQ's `gemm` tensors: eight outputs in a word, even ones first."""

    def pack(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        order = (0, 2, 4, 6, 1, 3, 5, 7)
        words = sum(numbers[:, place::8] << (4 * nibble) for nibble, place in enumerate(order))
        return np.asarray(words).astype(np.uint32).view(np.int32)

    return {
        f"{name}.qweight": ("i32", pack(q)),
        f"{name}.qzeros": ("i32", pack(zeros)),
        f"{name}.scales": ("f16", scales),
    }


def meant(
    q: npt.NDArray[Any],
    zeros: npt.NDArray[Any],
    scales: npt.NDArray[Any],
    index: npt.NDArray[Any],
) -> npt.NDArray[np.float32]:
    """The weight [rows, columns] that the numbers stand for."""
    result: npt.NDArray[np.float32] = (
        (q - zeros[index]) * scales[index].astype(np.float64)
    ).T.astype(np.float32)
    return result


def write_adapter(folder: Path, weights: dict[str, npt.NDArray[np.float32]], **config: Any) -> Path:
    """A PEFT adapter of tensors named as PEFT names them, without its prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(fields))
    arrays: Arrays = {f"base_model.model.{name}": ("f32", one) for name, one in weights.items()}
    write(folder / "adapter_model.safetensors", arrays)
    return folder
