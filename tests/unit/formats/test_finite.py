"""NaN and infinity are found in every type of weights, and nothing else is taken for them."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats import finite

FLOATS = {
    "f64": np.float64,
    "f32": np.float32,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "f8_e4m3": ml_dtypes.float8_e4m3fn,
    "f8_e5m2": ml_dtypes.float8_e5m2,
}


def check(path: Path, data: bytes, dtype: str) -> None:
    """`data` is in the middle of the file, as tensors are."""
    path.write_bytes(b"\xff" * 16 + data + b"\xff" * 16)
    tensor = finite.Stored("a.weight", dtype, 16, len(data))
    assert sum(finite.check(path, [tensor])) == len(data)


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_are_looked_at_one_by_one(tmp_path: Path, dtype: str) -> None:
    kind = FLOATS[dtype]
    largest = ml_dtypes.finfo(kind).max
    sound = np.array([0, -0.0, 1.5, -2, largest, -largest, ml_dtypes.finfo(kind).tiny], kind)
    check(tmp_path / "sound", sound.tobytes(), dtype)
    for wrong in (np.nan, -np.nan, np.inf, -np.inf):
        damaged = sound.copy()
        damaged[3] = wrong
        with pytest.raises(ModelCorruptError, match=r"`a\.weight` of `damaged` holds NaN"):
            check(tmp_path / "damaged", damaged.tobytes(), dtype)


@pytest.mark.parametrize("dtype", finite.BLOCKS)
def test_scales_of_blocks_are_where_ggml_has_them(tmp_path: Path, dtype: str) -> None:
    size, scales = finite.BLOCKS[dtype]
    kind = next(one for one in GGMLQuantizationType if one.name.lower() == dtype)
    assert GGML_QUANT_SIZES[kind][1] == size
    blocks = np.full((9, size), 0xFF, np.uint8)
    for at in scales:
        blocks[:, at : at + 2] = np.frombuffer(np.float16(0.5).tobytes(), np.uint8)
    check(tmp_path / "sound", blocks.tobytes(), dtype)
    assert np.isfinite(dequantized(blocks, kind)).all()
    for at in scales:
        damaged = blocks.copy()
        damaged[7, at : at + 2] = np.frombuffer(np.float16(np.nan).tobytes(), np.uint8)
        assert np.isnan(dequantized(damaged, kind)).any()
        with pytest.raises(ModelCorruptError, match="holds NaN"):
            check(tmp_path / "damaged", damaged.tobytes(), dtype)


def dequantized(
    blocks: npt.NDArray[np.uint8], kind: GGMLQuantizationType
) -> npt.NDArray[np.float32]:
    """What the blocks stand for, by the `gguf` package."""
    return quants.dequantize(blocks, kind)


def test_whole_numbers_are_never_nan(tmp_path: Path) -> None:
    check(tmp_path / "ids", b"\xff" * 64, "i64")


def test_a_tensor_beyond_the_end_is_damage(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(bytes(100))
    tensor = finite.Stored("w", "f32", 64, 64)
    with pytest.raises(ModelCorruptError, match="beyond the end"):
        list(finite.check(tmp_path / "short", [tensor]))
