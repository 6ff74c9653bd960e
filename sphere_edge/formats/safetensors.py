"""safetensors checkpoints: headers checked before a byte is trusted, data streamed from disk.

The format: u64 header length, that many bytes of JSON, then the data without holes
(https://github.com/huggingface/safetensors, README, "Format").
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from sphere_edge.errors import (
    InternalError,
    ModelCorruptError,
    NotFoundError,
    StorageError,
    UnsupportedError,
)
from sphere_edge.formats import json_object, stand_in
from sphere_edge.formats.gguf import Readable
from sphere_edge.formats.shards import safetensors_files

# The reference implementation's own limit.
HEADER_LIMIT_BYTES = 100_000_000
_RANK_LIMIT = 16
_DIMENSION_LIMIT = 2**48
_HEAD = "lm_head.weight"
_READ_STEP_BYTES = 8 * 1024 * 1024

# The format's names in lower case, with the numpy type of one element.
DTYPES: dict[str, np.dtype[Any]] = {
    "bool": np.dtype(np.bool_),
    "u8": np.dtype(np.uint8),
    "i8": np.dtype(np.int8),
    "u16": np.dtype("<u2"),
    "i16": np.dtype("<i2"),
    "u32": np.dtype("<u4"),
    "i32": np.dtype("<i4"),
    "u64": np.dtype("<u8"),
    "i64": np.dtype("<i8"),
    "f64": np.dtype("<f8"),
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f8_e4m3": np.dtype(ml_dtypes.float8_e4m3fn),
    "f8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "f8_e8m0": np.dtype(ml_dtypes.float8_e8m0fnu),
}
READABLE = ("f32", "f16", "bf16", "f8_e4m3", "f8_e5m2")


@dataclass(frozen=True)
class TensorEntry:
    """One tensor: `dtype` as in DTYPES, `bytes` of data at `offset` in the file `path`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    path: Path
    offset: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def named(tensors: Mapping[str, TensorEntry], name: str) -> TensorEntry:
    """The tensor `name`; raises ModelCorruptError naming it where the checkpoint lacks it."""
    if name not in tensors:
        message = f"the checkpoint has no tensor `{name}`"
        hint = "save it as AutoModelForCausalLM, which keeps the head" if name == _HEAD else None
        raise ModelCorruptError(message, hint=hint)
    return tensors[name]


class Checkpoint:
    """All tensors of a model folder; `tensors` maps their names, in file order, to entries."""

    def __init__(self, tensors: Mapping[str, TensorEntry]) -> None:
        self.tensors: Mapping[str, TensorEntry] = MappingProxyType(dict(tensors))

    @classmethod
    def open(cls, folder: Path) -> Checkpoint:
        """Reads and checks the headers of every shard in `folder`, and no data.

        Raises ModelCorruptError for a damaged file or an index that does not match its shards,
        NotFoundError for a missing shard or a folder without safetensors.
        """
        files, index = safetensors_files(folder)
        tensors: dict[str, TensorEntry] = {}
        for path in files:
            for entry in read_header(path):
                if index is not None and index.get(entry.name) != path.name:
                    continue
                if entry.name in tensors:
                    other = tensors[entry.name].path.name
                    message = f"tensor `{entry.name}` is in both `{other}` and `{path.name}`"
                    raise ModelCorruptError(message)
                tensors[entry.name] = entry
        for name, shard in (index or {}).items():
            if name not in tensors:
                message = f"the index says that `{name}` is in `{shard}`, but it is not"
                raise ModelCorruptError(message, hint="download the model again")
        if not tensors:
            message = f"`{folder}` holds no tensors"
            raise ModelCorruptError(message)
        return cls(tensors)

    @property
    def parameters(self) -> int:
        """How many numbers all tensors hold together."""
        return sum(entry.elements for entry in self.tensors.values())

    def entry(self, name: str) -> TensorEntry:
        """The tensor `name`; raises ModelCorruptError naming it if the checkpoint lacks it."""
        return named(self.tensors, name)

    def read(self, name: str, rows: slice | None = None) -> npt.NDArray[np.float32]:
        """The tensor `name` as float32, or only `rows` of its first axis, streamed from disk.

        Memory is the result plus a few MiB. Raises UnsupportedError for types not in READABLE.
        """
        entry = self.entry(name)
        if entry.dtype not in READABLE:
            message = (
                f"tensor `{name}` is of type `{entry.dtype}`, which is not supported for weights"
            )
            raise UnsupportedError(message, hint=f"supported: {', '.join(READABLE)}")
        return _read(entry, rows, np.dtype(np.float32))

    def read_stored(self, name: str, rows: slice | None = None) -> npt.NDArray[Any]:
        """The same in the type it is stored in, for packed weights such as mxfp4 blocks of `u8`."""
        entry = self.entry(name)
        return _read(entry, rows, DTYPES[entry.dtype])

    def scales(self, name: str, rows: slice | None = None) -> None:
        """As sphere_edge.formats.tensors.Tensors.scales: the numbers are not quantized."""


def _read(entry: TensorEntry, rows: slice | None, into: np.dtype[Any]) -> npt.NDArray[Any]:
    shape, first = entry.shape, 0
    if rows is not None:
        if not shape:
            message = f"tensor `{entry.name}` is a scalar and has no rows"
            raise ModelCorruptError(message)
        start, stop, step = rows.indices(shape[0])
        if step != 1:
            message = "rows are read in steps of 1"
            raise ValueError(message)
        first = start * math.prod(shape[1:])
        shape = (max(stop - start, 0), *shape[1:])
    stored = DTYPES[entry.dtype]
    result = np.empty(math.prod(shape), into)
    step_elements = _READ_STEP_BYTES // stored.itemsize
    try:
        with entry.path.open("rb") as file:
            file.seek(entry.offset + first * stored.itemsize)
            for begin in range(0, result.size, step_elements):
                part = result[begin : begin + step_elements]
                raw = file.read(part.size * stored.itemsize)
                if len(raw) != part.size * stored.itemsize:
                    raise _corrupt(entry.path, f"it ends inside tensor `{entry.name}`")
                part[:] = np.frombuffer(raw, stored)
    except OSError as error:
        message = f"`{entry.path}` cannot be read: {error.strerror}"
        raise StorageError(message) from error
    return result.reshape(shape)


def read_header(path: Path) -> list[TensorEntry]:
    """The tensors of one .safetensors file in the order of their data, each claim checked.

    Raises ModelCorruptError, NotFoundError if there is no such file, StorageError if it cannot be
    read, UnsupportedError for an unknown element type.
    """
    try:
        with path.open("rb") as file:
            return read_header_from(path, file)
    except FileNotFoundError as error:
        message = f"there is no `{path.name}` in `{path.parent}`"
        raise NotFoundError(message) from error
    except OSError as error:
        message = f"`{path}` cannot be read: {error.strerror}"
        raise StorageError(message) from error


def read_header_from(path: Path, file: Readable) -> list[TensorEntry]:
    """The same from an open file, of which no more is read than the header; `path` names it."""
    file_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    prefix = file.read(8)
    if (instead := stand_in.named(prefix)) is not None:
        raise _corrupt(path, instead)
    length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
    if length + 8 > file_bytes or len(prefix) < 8:
        reason = f"{file_bytes} bytes are too few for a header of {length} bytes"
        raise _corrupt(path, reason)
    if length > HEADER_LIMIT_BYTES:
        raise _corrupt(path, f"its header of {length} bytes is too long")
    text = file.read(length)
    if not text.startswith(b"{"):
        raise _corrupt(path, "its header is not a JSON object")
    header = json_object.parse(text, f"header of {path.name}")
    return _entries(path, header, 8 + length, file_bytes)


def _corrupt(path: Path, reason: str) -> ModelCorruptError:
    return ModelCorruptError(f"`{path.name}` is damaged: {reason}", hint="download the file again")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _DIMENSION_LIMIT


def _entries(
    path: Path, header: dict[str, Any], data_start: int, file_bytes: int
) -> list[TensorEntry]:
    header.pop("__metadata__", None)
    spans = [_span(path, name, value) for name, value in header.items()]
    # Empty tensors sort before the one that begins at the same offset.
    spans.sort(key=lambda span: (span[1], span[2]))
    entries, end = [], 0
    for entry, begin, stop in spans:
        if begin < end:
            raise _corrupt(path, f"tensor `{entry.name}` overlaps the one before it")
        if begin > end:
            raise _corrupt(path, f"{begin - end} bytes before tensor `{entry.name}` belong to none")
        if data_start + stop > file_bytes:
            raise _corrupt(path, f"tensor `{entry.name}` ends beyond the end of the file")
        end = stop
        offset = data_start + begin
        entries.append(TensorEntry(entry.name, entry.dtype, entry.shape, entry.bytes, path, offset))
    if data_start + end != file_bytes:
        surplus = file_bytes - data_start - end
        raise _corrupt(path, f"{surplus} bytes at its end belong to no tensor")
    return entries


def _span(path: Path, name: str, value: object) -> tuple[TensorEntry, int, int]:
    """One tensor as the header describes it, with the begin and end of its data."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        reason = f"the entry of tensor `{name[:80]}` is not dtype, shape and data_offsets"
        raise _corrupt(path, reason)
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    known = isinstance(dtype, str) and dtype.isupper() and dtype.lower() in DTYPES
    if not known:
        message = f"tensor `{name[:80]}` in `{path.name}` has the unknown type `{str(dtype)[:40]}`"
        raise UnsupportedError(message, hint=f"known: {', '.join(DTYPES)}")
    if not isinstance(shape, list) or len(shape) > _RANK_LIMIT or not all(map(_whole, shape)):
        raise _corrupt(path, f"the shape of tensor `{name[:80]}` is `{str(shape)[:80]}`")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_whole, offsets)):
        raise _corrupt(path, f"the offsets of tensor `{name[:80]}` are `{str(offsets)[:80]}`")
    begin, stop = offsets
    expected = math.prod(shape) * DTYPES[dtype.lower()].itemsize
    if stop - begin != expected:
        reason = f"tensor `{name[:80]}` takes {stop - begin} bytes where its shape needs {expected}"
        raise _corrupt(path, reason)
    return TensorEntry(name, dtype.lower(), tuple(shape), expected, path, 0), begin, stop


class Writer:
    """Writes one .safetensors file in slabs under a temporary name, and renames it at the end.

    `tensors` are (name, dtype, shape) in file order, dtype as in DTYPES or numpy's name for it. The
    data begin at a multiple of 64 bytes. Tensors may be written in any order and in slabs of whole
    rows; a tensor's slabs follow one another. Leaving the block with an error, or before all is
    written, leaves no file.
    """

    def __init__(self, path: Path, tensors: Sequence[tuple[str, str, Sequence[int]]]) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._cursor: dict[str, int] = {}
        self._end: dict[str, int] = {}
        self._dtype: dict[str, np.dtype[Any]] = {}
        self._shape: dict[str, tuple[int, ...]] = {}
        header = self._layout(tensors)
        self._data_start = len(header)
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise self._storage_error(error) from error
        try:
            self._file.write(header)
        except OSError as error:
            self._discard()
            raise self._storage_error(error) from error

    def _layout(self, tensors: Sequence[tuple[str, str, Sequence[int]]]) -> bytes:
        header: dict[str, Any] = {}
        offset = 0
        for name, dtype, shape in tensors:
            if name in header:
                message = f"tensor `{name}` is written twice"
                raise InternalError(message)
            code = _code(dtype)
            self._dtype[name], self._shape[name] = DTYPES[code], tuple(shape)
            self._cursor[name] = offset
            offset += math.prod(shape) * DTYPES[code].itemsize
            self._end[name] = offset
            offsets = [self._cursor[name], offset]
            header[name] = {"dtype": code.upper(), "shape": list(shape), "data_offsets": offsets}
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-(8 + len(text)) % 64)
        return struct.pack("<Q", len(text)) + text

    def write(self, name: str, array: npt.NDArray[Any]) -> None:
        """Appends `array`, some or all rows of tensor `name`. Raises StorageError (full disk)."""
        dtype, shape = self._dtype[name], self._shape[name]
        if array.dtype != dtype or array.shape[1:] != shape[1:] or array.ndim != len(shape):
            message = f"tensor `{name}` is {dtype} {shape}, not {array.dtype} {array.shape}"
            raise InternalError(message)
        if self._cursor[name] + array.nbytes > self._end[name]:
            message = f"more rows than {shape} were written to tensor `{name}`"
            raise InternalError(message)
        try:
            self._file.seek(self._data_start + self._cursor[name])
            self._file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise self._storage_error(error) from error
        self._cursor[name] += array.nbytes

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as error:
            raise self._storage_error(error) from error
        finally:
            self._discard()

    def _discard(self) -> None:
        # Closing flushes, which a full disk refuses again; the first error is the one to report.
        with contextlib.suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)

    def _finish(self) -> None:
        for name, end in self._end.items():
            if self._cursor[name] != end:
                message = f"tensor `{name}` was not written to its end"
                raise InternalError(message)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)

    def _storage_error(self, error: OSError) -> StorageError:
        return StorageError(f"`{self._path}` cannot be written: {error.strerror}")


def _code(dtype: str) -> str:
    """The name in DTYPES of a type given by that name or by numpy's."""
    for code, known in DTYPES.items():
        if dtype in (code, known.name):
            return code
    message = f"safetensors have no type `{dtype}`"
    raise InternalError(message)
