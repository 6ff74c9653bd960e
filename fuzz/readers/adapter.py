"""The config of a LoRA adapter, adapter_config.json."""

import json
from pathlib import Path
from struct import pack

from fuzz.file_with import file_with
from sphere_edge.formats.adapter import Adapted
from sphere_edge.formats.safetensors import Checkpoint, read_header

_LAYER = "model.layers.0.self_attn.q_proj"


def _file(name: str, shapes: dict[str, list[int]]) -> Path:
    """A safetensors file of zeros in F32."""
    header, end = {}, 0
    for tensor, (rows, columns) in shapes.items():
        begin, end = end, end + 4 * rows * columns
        header[tensor] = {"dtype": "F32", "shape": [rows, columns], "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return file_with(pack("<Q", len(text)) + text + bytes(end), name)


def read(data: bytes) -> None:
    """`data` as the config beside weights of rank 2."""
    base = read_header(_file("model.safetensors", {f"{_LAYER}.weight": [4, 4]}))
    lora = {"lora_A.weight": [2, 4], "lora_B.weight": [4, 2]}
    _file("adapter_model.safetensors", {f"base_model.model.{_LAYER}.{k}": lora[k] for k in lora})
    folder = file_with(data, "adapter_config.json").parent
    Adapted(Checkpoint({one.name: one for one in base}), folder)
