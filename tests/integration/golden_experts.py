"""Experts of a mixture: as checkpoints on the hub store them, and as transformers computes them."""

from __future__ import annotations

import re
from typing import Any

import torch
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

_QWEN = re.compile(r"(.+\.experts)\.(\d+)\.(gate|up|down)_proj\.weight$")


def stored(model: torch.nn.Module, config: dict[str, Any]) -> dict[str, list[int]]:
    """Names and shapes of the checkpoint of `model`."""
    shapes: dict[str, list[int]] = {}
    quantized = config.get("quantization_config", {}).get("quant_method") == "mxfp4"
    for name, value in model.state_dict().items():
        shape = list(value.shape)
        if not name.endswith((".experts.gate_up_proj", ".experts.down_proj")):
            shapes[name] = shape
        elif "qwen" in config["model_type"]:
            shapes |= _separate(name, shape)
        elif quantized:
            experts, inputs, outputs = shape
            shapes[f"{name}_blocks"] = [experts, outputs, inputs // 32, 16]
            shapes[f"{name}_scales"] = [experts, outputs, inputs // 32]
        else:
            shapes[name] = shape
    return shapes


def _separate(name: str, shape: list[int]) -> dict[str, list[int]]:
    """A matrix per expert: qwen's checkpoints have them, transformers 5 stacks them."""
    root, _, layer = name.rpartition(".")
    experts, rows, columns = shape
    if layer == "down_proj":
        return {f"{root}.{e}.down_proj.weight": [rows, columns] for e in range(experts)}
    return {
        f"{root}.{e}.{half}_proj.weight": [rows // 2, columns]
        for e in range(experts)
        for half in ("gate", "up")
    }


def joined(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state of transformers' model from a checkpoint's tensors."""
    state: dict[str, torch.Tensor] = {}
    apart: dict[str, list[torch.Tensor]] = {}
    for name, value in tensors.items():
        match = _QWEN.match(name)
        if match is not None:
            layer = "down_proj" if match[3] == "down" else "gate_up_proj"
            apart.setdefault(f"{match[1]}.{layer}", []).append(value)
        elif name.endswith("_blocks"):
            fused = name.removesuffix("_blocks")
            scales = tensors[f"{fused}_scales"]
            state[fused] = convert_moe_packed_tensors(value, scales, dtype=torch.float32)
        elif not name.endswith("_scales"):
            state[name] = value
    for name, parts in apart.items():
        if name.endswith("gate_up_proj"):
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [torch.cat(pair) for pair in pairs]
        state[name] = torch.stack(parts)
    return state
