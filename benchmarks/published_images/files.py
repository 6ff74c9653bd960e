"""Writes files of random weights: as large as asked for, from one block of noise over and over."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any, BinaryIO

import gguf
import numpy as np
import numpy.typing as npt

from benchmarks.published_images.shapes import Shapes

_BLOCK = 1 << 16


def write(path: Path, shapes: Shapes) -> None:
    """Safetensors in half precision."""
    header: dict[str, Any] = {}
    offset = 0
    for name, shape in shapes.items():
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            _repeat(file, _values(name, shape).astype(np.float16).tobytes(), 2 * math.prod(shape))


def write_quantized(path: Path, shapes: Shapes) -> None:
    """GGUF with matrices in q4_0, all else in half precision."""
    writer = gguf.GGUFWriter(path, "random")
    kinds = {}
    for name, shape in shapes.items():
        is_matrix = len(shape) == 2 and shape[-1] % 32 == 0 and shape[0] > 1
        kind = gguf.GGMLQuantizationType.Q4_0 if is_matrix else gguf.GGMLQuantizationType.F16
        block, size = gguf.GGML_QUANT_SIZES[kind]
        kinds[name] = (kind, math.prod(shape) // block * size)
        stored = gguf.quant_shape_to_byte_shape(shape, kind) if is_matrix else shape
        dtype = np.dtype(np.uint8 if is_matrix else np.float16)
        writer.add_tensor_info(name, stored, dtype, kinds[name][1], kind if is_matrix else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("ab") as file:
        file.write(bytes(-file.tell() % 32))
        for name, shape in shapes.items():
            kind, size = kinds[name]
            _repeat(file, gguf.quants.quantize(_values(name, shape), kind).tobytes(), size)
            file.write(bytes(-size % 32))


def _values(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """What a tensor is filled with, over and over: noise that keeps its loudness, or ones."""
    if math.prod(shape[1:]) > 1:
        noise = np.random.default_rng(3).standard_normal(_BLOCK).astype(np.float32)
        return noise / np.float32(math.prod(shape[1:]) ** 0.5)
    return np.full(_BLOCK, 0.0 if name.endswith("bias") else 1.0, np.float32)


def _repeat(file: BinaryIO, block: bytes, size: int) -> None:
    for begin in range(0, size, len(block)):
        file.write(block[: size - begin])
