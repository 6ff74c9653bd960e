"""A checkpoint becomes the bundle's weights, slice by slice: memory does not grow with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sphere_edge.console import SILENT, Progress
from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats import quantized, text_part
from sphere_edge.formats.adapter import Adapted
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.safetensors import Checkpoint, Writer
from sphere_edge.formats.tensors import Tensors
from sphere_edge.models.weight_mapping import SourceTensor, WeightMapping

SHARD_LIMIT_BYTES = 1 << 30
# Room for the header, so that a shard with it stays below the limit.
_HEADER_BYTES = 1 << 22
_SLICE_ELEMENTS = 1 << 20
_THREADS = 2
# Buffers that old checkpoints carry along and that are worked out from config.json.
_DERIVED = re.compile(r"rotary_emb\.inv_freq$|\.rotary_emb\.(cos|sin)_cached$")

Array = NDArray[np.generic]
Floats = NDArray[np.float32]
Tensor = tuple[str, str, tuple[int, ...]]


def opened(
    folder: Path, config: ModelConfig, adapter: Path | None, progress: Progress = SILENT
) -> Tensors:
    """The checkpoint as numbers: unpacked where it is quantized, with the adapter merged in.

    Says what a multimodal one has beside its text part, which is left out.
    """
    checkpoint = Checkpoint.open(folder)
    if config.wrapper is not None:
        note = text_part.parts(checkpoint).note
        progress.say(f"only the text part of this {config.wrapper} is packaged, without {note}")
    tensors = quantized.opened(checkpoint, config)
    return tensors if adapter is None else Adapted(tensors, adapter)


def check(checkpoint: Tensors, mappings: Sequence[WeightMapping]) -> tuple[str, ...]:
    """Compares the checkpoint with what the model needs; returns the names it does not use.

    Raises ModelCorruptError naming the first tensor that is missing or of another shape, or that
    belongs to a layer of the model (a bias, an adapter) without being a part of it.
    """
    used = set()
    for mapping in mappings:
        for source in mapping.sources:
            used.add(source.name)
            expected = (source.rows,) if mapping.columns is None else (source.rows, mapping.columns)
            found = checkpoint.entry(source.name).shape
            if found != expected:
                message = (
                    f"tensor `{source.name}` has shape `{found}`, but config.json means {expected}"
                )
                raise ModelCorruptError(
                    message, hint="config.json and weights do not belong together"
                )
    layers = {name.rpartition(".")[0] for name in used}
    left = [name for name in checkpoint.tensors if name not in used and not _DERIVED.search(name)]
    for name in left:
        if any(folder in layers for folder in _folders(name)):
            message = f"the checkpoint's tensor `{name}` is not a part of the model"
            raise ModelCorruptError(message, hint="config.json and weights do not belong together")
    return tuple(left)


def parameters(mappings: Sequence[WeightMapping]) -> int:
    """How many numbers of the checkpoint the model is made of."""
    return sum(
        source.rows * (mapping.columns or 1) for mapping in mappings for source in mapping.sources
    )


def differ(checkpoint: Tensors, one: str, other: str) -> bool:
    """Whether two tensors of the checkpoint are not the same matrix."""
    shape = checkpoint.entry(one).shape
    if shape != checkpoint.entry(other).shape or len(shape) != 2:
        return True
    step = max(1, _SLICE_ELEMENTS // max(1, shape[1]))
    slices = (slice(start, start + step) for start in range(0, shape[0], step))
    return any(
        not np.array_equal(checkpoint.read(one, rows), checkpoint.read(other, rows))
        for rows in slices
    )


def convert(
    checkpoint: Tensors, mappings: Sequence[WeightMapping], folder: Path, progress: Progress
) -> list[Path]:
    """Writes `weights-00001.safetensors` … into `folder`, each at most 1 GiB; returns their paths.

    A single parameter beyond that has a file of its own. The same checkpoint gives the same bytes.
    Raises ModelCorruptError for numbers that are not finite, StorageError for a full disk.
    """
    shards = _shards([tensor for mapping in mappings for tensor in mapping.arrays()])
    paths = [folder / f"weights-{number:05d}.safetensors" for number in range(1, len(shards) + 1)]
    with ExitStack() as stack:
        writers: dict[str, Writer] = {}
        for path, tensors in zip(paths, shards, strict=True):
            writer = stack.enter_context(Writer(path, tensors))
            writers |= {name: writer for name, _, _ in tensors}
        step = stack.enter_context(
            progress.step("converting weights", total=parameters(mappings) * 4, unit="bytes")
        )
        with ThreadPoolExecutor(_THREADS) as pool:
            for packed in _in_order(pool, checkpoint, mappings):
                for name, array in packed.arrays.items():
                    writers[name].write(name, array)
                step.advance(packed.elements * 4)
    return paths


def packed(checkpoint: Tensors, mapping: WeightMapping) -> dict[str, Array]:
    """All arrays of one mapping by their stored names; raises as convert."""
    return _pack(checkpoint, _Slice(mapping, 0, mapping.rows)).arrays


def exact(checkpoint: Tensors, mapping: WeightMapping) -> Floats:
    """All numbers of one mapping as they are, [rows, columns] or [rows]; raises as convert."""
    (values,) = packed(checkpoint, replace(mapping, fmt=None)).values()
    numbers: Floats = values.astype(np.float32, copy=False)
    return numbers


@contextmanager
def naming(mapping: WeightMapping) -> Iterator[None]:
    """Has a ModelCorruptError say which of the checkpoint's tensors it is about."""
    try:
        yield
    except ModelCorruptError as error:
        names = ", ".join(source.name for source in mapping.sources)
        message = f"tensor `{names}`: {error.message}"
        raise ModelCorruptError(message, hint="download the model again") from error


@dataclass(frozen=True)
class _Slice:
    mapping: WeightMapping
    start: int
    stop: int


@dataclass(frozen=True)
class _PackedSlice:
    arrays: dict[str, Array]
    elements: int


def _shards(tensors: list[Tensor]) -> list[list[Tensor]]:
    """Tensors in files of at most 1 GiB, in each file those of odd sizes last.

    The data begin at a multiple of 64 bytes, and so does every tensor before the odd ones: the
    runtime maps aligned tensors and copies only the others.
    """
    shards: list[list[Tensor]] = [[]]
    room = SHARD_LIMIT_BYTES - _HEADER_BYTES
    for tensor in tensors:
        size = _bytes(tensor)
        if shards[-1] and size > room:
            shards.append([])
            room = SHARD_LIMIT_BYTES - _HEADER_BYTES
        shards[-1].append(tensor)
        room -= size
    return [sorted(shard, key=lambda tensor: _bytes(tensor) % 64 != 0) for shard in shards]


def _bytes(tensor: Tensor) -> int:
    _, dtype, shape = tensor
    return prod(shape) * np.dtype(dtype).itemsize


def _in_order(
    pool: ThreadPoolExecutor, checkpoint: Tensors, mappings: Sequence[WeightMapping]
) -> Iterator[_PackedSlice]:
    """Packs slices on all threads, a few ahead, and yields them in the order they are written."""
    slices = iter([piece for mapping in mappings for piece in _slices(mapping)])
    waiting: list[Future[_PackedSlice]] = []
    for piece in islice(slices, 2 * _THREADS):
        waiting.append(pool.submit(_pack, checkpoint, piece))
    while waiting:
        yield waiting.pop(0).result()
        for piece in islice(slices, 1):
            waiting.append(pool.submit(_pack, checkpoint, piece))


def _slices(mapping: WeightMapping) -> Iterator[_Slice]:
    if mapping.fmt is None or mapping.columns is None:
        yield _Slice(mapping, 0, mapping.rows)
        return
    block = mapping.fmt.row_block
    step = max(1, _SLICE_ELEMENTS // (mapping.columns * block)) * block
    for start in range(0, mapping.rows, step):
        yield _Slice(mapping, start, min(start + step, mapping.rows))


def _pack(checkpoint: Tensors, piece: _Slice) -> _PackedSlice:
    mapping = piece.mapping
    if mapping.constant is not None:
        return _PackedSlice({mapping.stored[0]: mapping.constant}, 0)
    values = _rows(checkpoint, mapping.sources, piece.start, piece.stop)
    if mapping.offset:
        values += np.float32(mapping.offset)
    with naming(mapping):
        if not np.isfinite(values).all():
            message = "not every number is finite"
            raise ModelCorruptError(message)
        if mapping.fmt is None:
            return _PackedSlice({mapping.stored[0]: values}, values.size)
        scales = _scales_of(checkpoint, mapping, piece)
        packed = mapping.fmt.pack(values, scales).values()
    return _PackedSlice(dict(zip(mapping.stored, packed, strict=True)), values.size)


def _scales_of(checkpoint: Tensors, mapping: WeightMapping, piece: _Slice) -> Floats | None:
    """The scales of a checkpoint that is already quantized; rounding again would lose more."""
    if mapping.fmt is None or not mapping.fmt.is_quantized or mapping.offset:
        return None
    pieces = []
    for name, rows in _within(mapping.sources, piece.start, piece.stop):
        scales = checkpoint.scales(name, rows)
        if scales is None:
            return None
        pieces.append(scales)
    return np.concatenate(pieces)


def _rows(checkpoint: Tensors, sources: Sequence[SourceTensor], start: int, stop: int) -> Floats:
    """Rows start..stop-1 of the source tensors stacked on one another."""
    pieces = [checkpoint.read(name, rows) for name, rows in _within(sources, start, stop)]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _within(sources: Sequence[SourceTensor], start: int, stop: int) -> Iterator[tuple[str, slice]]:
    """The tensors, and the rows in each, that rows start..stop-1 of the stack are in."""
    for source in sources:
        if start < source.rows and stop > 0:
            yield source.name, slice(max(start, 0), min(stop, source.rows))
        start, stop = start - source.rows, stop - source.rows


def _folders(name: str) -> Iterator[str]:
    """`a.b.c` → a.b, a."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name
