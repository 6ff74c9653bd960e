"""Writes a safetensors checkpoint as a GGUF of float numbers, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from sphere_edge.console import Progress
from sphere_edge.engines import family_of_weights, gguf_families, weights
from sphere_edge.engines.gguf_families import Architecture
from sphere_edge.errors import ModelCorruptError, StorageError
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.tensors import Tensors
from sphere_edge.formats.tokenizer import Vocabulary, add_vocabulary
from sphere_edge.models.layers import weight_mappings
from sphere_edge.models.registry import Family, family
from sphere_edge.models.shape import Shape
from sphere_edge.models.weight_mapping import WeightMapping
from sphere_edge.quantization.weights import WeightFormat

# Types that weights are stored in and GGUF has, too; everything else becomes float32.
_KEPT = ("f32", "f16", "bf16")


@dataclass(frozen=True)
class _Piece:
    """One tensor of the GGUF: where it comes from, its shape and the type it gets."""

    name: str
    source: str
    shape: tuple[int, ...]
    dtype: str
    offset: float


@dataclass(frozen=True)
class Conversion:
    """What becomes a GGUF: the model in `folder`, its config and its weights as numbers.

    `dtype`: matrices as f16 or f32; None: as the checkpoint has them. Vectors are float32.
    `chat_template`: instead of the model's own.
    """

    folder: Path
    config: ModelConfig
    checkpoint: Tensors
    dtype: str | None
    chat_template: str | None


def write(conversion: Conversion, path: Path, progress: Progress) -> Vocabulary:
    """Writes `path` and returns its vocabulary; one tensor is in memory at a time.

    Raises UnsupportedError for what llama.cpp computes otherwise, ModelCorruptError, StorageError.
    """
    config = conversion.config
    longest = config.take("max_position_embeddings", int)
    made = family_of_weights.untied(family(config, longest), conversion.checkpoint, progress)
    try:
        return _written(conversion, made, path, progress)
    except OSError as error:
        message = f"`{path}` cannot be written: {error.strerror}"
        raise StorageError(message, hint="free some space") from error


def _written(conversion: Conversion, made: Family, path: Path, progress: Progress) -> Vocabulary:
    from gguf import GGMLQuantizationType, GGUFWriter

    config, checkpoint = conversion.config, conversion.checkpoint
    known = gguf_families.architecture(made, config)
    # Only the mappings of its parameters are asked for, so no kernels are needed.
    needed = list(weight_mappings(made.build(None, WeightFormat("f32", 1))))
    family_of_weights.warn(made, weights.check(checkpoint, needed), progress)
    pieces = list(_pieces(needed, checkpoint, known, conversion.dtype))
    writer: Any = GGUFWriter(path, known.name)
    try:
        writer.add_type("model")
        gguf_families.add_sizes(writer, known, made, config)
        vocabulary = add_vocabulary(writer, conversion.folder, conversion.chat_template)
        _check_vocabulary(vocabulary, made.config.shape)
        writer.add_file_type(_file_type(pieces))
        factors = gguf_families.rope_tensors(known, made, config)
        for name, values in factors.items():
            writer.add_tensor_info(name, values.shape, values.dtype, values.nbytes)
        for piece in pieces:
            kind = GGMLQuantizationType[piece.dtype.upper()]
            size = prod(piece.shape) * (4 if piece.dtype == "f32" else 2)
            writer.add_tensor_info(piece.name, piece.shape, np.dtype(np.uint16), size, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for values in factors.values():
            writer.write_tensor_data(values)
        with progress.step("writing the GGUF", sum(prod(one.shape) for one in pieces)) as step:
            for piece in pieces:
                writer.write_tensor_data(_values(piece, checkpoint, known, made))
                step.advance(prod(piece.shape))
    finally:
        writer.close()
    return vocabulary


def _pieces(
    needed: list[WeightMapping], checkpoint: Tensors, known: Architecture, dtype: str | None
) -> Iterator[_Piece]:
    for mapping in needed:
        for source in mapping.sources:
            entry = checkpoint.entry(source.name)
            kept = entry.dtype if entry.dtype in _KEPT else "f32"
            yield _Piece(
                name=gguf_families.tensor_name(known, source.name),
                source=source.name,
                shape=entry.shape,
                dtype="f32" if mapping.columns is None else dtype or kept,
                offset=mapping.offset,
            )


def _values(piece: _Piece, checkpoint: Tensors, known: Architecture, made: Family) -> Any:
    """The tensor as it is written; bfloat16 as its bits."""
    values = checkpoint.read(piece.source)
    if piece.offset:
        values += np.float32(piece.offset)
    values = gguf_families.arranged(known, made, piece.name, values)
    limit = np.finfo(np.float16 if piece.dtype == "f16" else np.float32).max
    # Not `>`: NaN fails it, too.
    if not np.abs(values).max(initial=0) <= limit:
        message = f"tensor `{piece.source}` holds numbers that {piece.dtype} cannot"
        raise ModelCorruptError(message, hint="--quant f32 can store all finite numbers")
    if piece.dtype == "bf16":
        import ml_dtypes

        return values.astype(ml_dtypes.bfloat16).view(np.uint16)
    return values.astype(np.float16 if piece.dtype == "f16" else np.float32)


def _file_type(pieces: list[_Piece]) -> Any:
    """GGUF's name for what most numbers are stored as."""
    from gguf import LlamaFileType

    sizes: dict[str, int] = {}
    for piece in pieces:
        sizes[piece.dtype] = sizes.get(piece.dtype, 0) + prod(piece.shape)
    most = max(sizes, key=lambda dtype: sizes[dtype])
    kinds = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16"}
    return LlamaFileType[kinds[most]]


def _check_vocabulary(vocabulary: Vocabulary, shape: Shape) -> None:
    if vocabulary.size > shape.vocab:
        message = f"the tokenizer has `{vocabulary.size}` tokens, the model only `{shape.vocab}`"
        raise ModelCorruptError(message, hint="tokenizer and weights do not belong together")
