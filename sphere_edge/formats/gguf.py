"""A GGUF file's metadata and tensor table, checked, without loading weights.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3. The reader
of the `gguf` package maps the file and trusts its counts; here each is compared with the bytes that
are left.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from sphere_edge.errors import (
    ModelCorruptError,
    SphereEdgeError,
    StorageError,
    UnsupportedError,
)
from sphere_edge.formats import gguf_parts

MAGIC = b"GGUF"
ALIGNMENT = "general.alignment"
VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
# struct codes of the scalar types, by GGUF's number.
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}


class Readable(Protocol):
    """What a header is read from: a binary file, or something that fetches what is read."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """As of any file."""

    def read(self, count: int, /) -> bytes:
        """As of any file."""


_KEYS_LIMIT = 65_536
_TENSORS_LIMIT = 1_000_000
_STRING_LIMIT_BYTES = 64 * 1024 * 1024
_RANK_LIMIT = 4
_NESTING_LIMIT = 4
# All metadata together; a vocabulary of a million tokens is about 40 MB.
_METADATA_LIMIT_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class GgufTensor:
    """One tensor: `dtype` as ggml names it (`Q4_K`), `shape` with the fastest axis first.

    `offset` counts from the start of the file `part`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    offset: int
    part: Path = field(compare=False)


@dataclass(frozen=True)
class GgufFile:
    """A GGUF file's header.

    `parts`: all files of a split model, of which `path` is the first and has the metadata; their
    tensors are all here. `metadata` holds bool, int, float, str and lists of them, except that of
    the long lists of a vocabulary only the length is kept, as an `ArrayLength`.
    """

    path: Path
    version: int
    metadata: Mapping[str, Any]
    tensors: Mapping[str, GgufTensor]
    parts: tuple[Path, ...]

    @property
    def architecture(self) -> str:
        """The family, for example `llama`; every GGUF has one."""
        return str(self.metadata["general.architecture"])

    @property
    def parameters(self) -> int:
        """How many numbers all tensors hold together."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())

    @property
    def quantization(self) -> str:
        """The type that most weights are stored in, for example `q4_k`; `none` without tensors."""
        counts: Counter[str] = Counter()
        for tensor in self.tensors.values():
            counts[tensor.dtype] += math.prod(tensor.shape)
        return counts.most_common(1)[0][0].lower() if counts else "none"

    @property
    def weights_bytes(self) -> int:
        """Bytes of all tensors' data."""
        return sum(tensor.bytes for tensor in self.tensors.values())

    @property
    def context_tokens(self) -> int | None:
        """The longest text the model was made for."""
        return self.number("context_length")

    @property
    def vocab_size(self) -> int | None:
        """How many tokens it knows; None without a vocabulary."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if isinstance(tokens, list):
            return len(tokens)
        return tokens.length if isinstance(tokens, ArrayLength) else None

    @property
    def tokenizer(self) -> str | None:
        """The tokenizer's kind as llama.cpp names it, for example `gpt2`; None if there is none."""
        kind = self.metadata.get("tokenizer.ggml.model")
        return kind if isinstance(kind, str) and kind not in ("none", "no_vocab") else None

    @property
    def has_chat_template(self) -> bool:
        """Whether it has a chat template."""
        return isinstance(self.metadata.get("tokenizer.chat_template"), str)

    def number(self, name: str) -> int | None:
        """The whole number under `<architecture>.<name>`; of a list per layer the largest."""
        value = self.metadata.get(f"{self.architecture}.{name}")
        if isinstance(value, list) and value and all(map(_is_whole, value)):
            return int(max(value))
        return value if _is_whole(value) else None


@dataclass(frozen=True)
class ArrayLength:
    """Stands for a list that was checked but not kept."""

    length: int


# What lies beside models and is none, by `general.type` or the architecture that stands in for it
# (llama.cpp: convert_lora_to_gguf.py, mtmd, tools/imatrix, tools/cvector-generator).
_ASIDE = {
    "adapter": ("a LoRA adapter", "merge it into its model first (llama-export-lora)"),
    "mmproj": ("the image or audio part of a multimodal model", "give the language model's file"),
    "imatrix": ("an importance matrix (imatrix) for quantizing", "give the model's file"),
    "controlvector": ("a control vector", "give the model's file"),
}
_ASIDE_ARCHITECTURES = {"clip": "mmproj", "controlvector": "controlvector"}


def aside(path: Path) -> str | None:
    """What the GGUF at `path` is instead of a model; None also for what cannot be read."""
    try:
        with path.open("rb") as file:
            kind = _aside(read_from(path, file, needs_architecture=False).metadata)
    except (SphereEdgeError, OSError):
        return None
    return None if kind is None else _ASIDE[kind][0]


# ggml's `TENSOR_ALIGNMENT`: where the data of a mapped file must begin in memory.
_MAPPED_ALIGNMENT = 32


def check_alignment(file: GgufFile) -> None:
    """UnsupportedError for a file that llama.cpp cannot map, because its data begin in between.

    GGUF allows any `general.alignment`, ggml's CPU only its own.
    """
    for part in file.parts:
        begins = [one.offset for one in file.tensors.values() if one.part == part]
        if begins and min(begins) % _MAPPED_ALIGNMENT:
            alignment = file.metadata.get(ALIGNMENT, _MAPPED_ALIGNMENT)
            message = f"`{part.name}` has its tensors at multiples of {alignment} bytes"
            hint = f"llama.cpp needs {_MAPPED_ALIGNMENT}: convert the model again with that one"
            raise UnsupportedError(message, hint=hint)


def check_finite(file: GgufFile) -> Iterator[int]:
    """As `finite.check`, of all parts."""
    from sphere_edge.formats import finite

    for part in file.parts:
        yield from finite.check(
            part,
            [
                finite.Stored(one.name, one.dtype.lower(), one.offset, one.bytes)
                for one in file.tensors.values()
                if one.part == part
            ],
        )


def _aside(metadata: Mapping[str, Any]) -> str | None:
    for kind in (metadata.get("general.type"), metadata.get("general.architecture")):
        known = _ASIDE_ARCHITECTURES.get(kind, kind) if isinstance(kind, str) else None
        if known in _ASIDE:
            return known
    return None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# Longer lists are vocabularies, whose entries are not needed.
_KEPT_LENGTH = 4096


def read(path: Path, *, needs_architecture: bool = True) -> GgufFile:
    """The header of the GGUF file at `path`, every count, length and offset checked.

    Of a split model `path` may be any part, and all are read. Raises ModelCorruptError for wrong
    magic, truncation and tensors beyond the file's end, UnsupportedError for another version, byte
    order or unknown tensor type, NotFoundError, StorageError.
    """
    parts = gguf_parts.paths(path)
    headers = []
    for part in parts:
        try:
            with part.open("rb") as file:
                headers.append(read_from(part, file, needs_architecture=needs_architecture))
        except OSError as error:
            message = f"`{part}` cannot be read: {error.strerror}"
            raise StorageError(message) from error
    if len(headers) > 1:
        return _joined(parts, headers)
    if needs_architecture and "general.architecture" not in headers[0].metadata:
        raise _corrupt(path, "it is a later part of a split model, under another name")
    return headers[0]


def _joined(parts: tuple[Path, ...], headers: list[GgufFile]) -> GgufFile:
    """The model whose parts have these headers."""
    tensors: dict[str, GgufTensor] = {}
    for number, header in enumerate(headers):
        stored = tuple(header.metadata.get(f"split.{key}") for key in ("no", "count"))
        if stored != (number, len(parts)):
            raise _corrupt(header.path, f"it is not part {number + 1} of {len(parts)}")
        for name, tensor in header.tensors.items():
            if name in tensors:
                raise _corrupt(header.path, f"tensor `{name[:80]}` is in an earlier part, too")
            tensors[name] = tensor
    return replace(headers[0], tensors=MappingProxyType(tensors), parts=parts)


def read_from(path: Path, file: Readable, *, needs_architecture: bool = True) -> GgufFile:
    """The same from an open file, of which no more is read than the header; `path` names it."""
    return _Reader(path, file).file(needs_architecture)


def _corrupt(path: Path, reason: str) -> ModelCorruptError:
    return ModelCorruptError(f"`{path.name}` is damaged: {reason}", hint="download the file again")


class _Reader:
    def __init__(self, path: Path, file: Readable) -> None:
        self._path = path
        self._file = file
        self._bytes = file.seek(0, 2)
        self._at = file.seek(0)

    def file(self, needs_architecture: bool) -> GgufFile:
        if self._bytes < 24 or self._file.read(4) != MAGIC:
            raise _corrupt(self._path, "it does not begin as a GGUF file does")
        self._at = 4
        version = self._scalar("I")
        if version not in VERSIONS:
            swapped = struct.unpack(">I", struct.pack("<I", version))[0]
            what = "big-endian" if swapped in VERSIONS else f"of version {version}"
            message = f"`{self._path.name}` is {what}"
            raise UnsupportedError(message, hint="GGUF version 2 and 3, little-endian, can be read")
        tensor_count, key_count = self._scalar("Q"), self._scalar("Q")
        if tensor_count > _TENSORS_LIMIT or key_count > _KEYS_LIMIT:
            raise _corrupt(self._path, f"it claims {tensor_count} tensors and {key_count} keys")
        metadata = self._metadata(key_count)
        # The later parts of a split model have only their number.
        is_later = metadata.get("split.no", 0) != 0
        if needs_architecture and (kind := _aside(metadata)) is not None:
            what, hint = _ASIDE[kind]
            message = f"`{self._path.name}` is {what}, not a model"
            raise UnsupportedError(message, hint=hint)
        has_none = not isinstance(metadata.get("general.architecture"), str)
        if needs_architecture and not is_later and has_none:
            raise _corrupt(self._path, "it has no `general.architecture`")
        tensors = self._tensors(tensor_count, metadata.get(ALIGNMENT, 32))
        return GgufFile(
            self._path,
            version,
            MappingProxyType(metadata),
            MappingProxyType(tensors),
            (self._path,),
        )

    def _take(self, count: int) -> bytes:
        if count > self._bytes - self._at:
            raise _corrupt(self._path, f"it ends inside its header, at byte {self._bytes}")
        if self._at + count > _METADATA_LIMIT_BYTES:
            raise _corrupt(self._path, f"its header is longer than {_METADATA_LIMIT_BYTES} bytes")
        data = self._file.read(count)
        if len(data) != count:
            raise _corrupt(self._path, "it became shorter while it was read")
        self._at += count
        return data

    def _scalar(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self._take(struct.calcsize(f"<{code}")))[0]

    def _string(self) -> str:
        length = self._scalar("Q")
        if length > _STRING_LIMIT_BYTES:
            raise _corrupt(self._path, f"a text claims {length} bytes")
        # Vocabularies hold pieces of characters; texts are checked where they are used.
        return self._take(length).decode("utf-8", errors="replace")

    def _metadata(self, count: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        for _ in range(count):
            key = self._string()
            if key in metadata:
                raise _corrupt(self._path, f"duplicate key `{key[:80]}`")
            metadata[key] = self._value(self._scalar("I"), key, 0)
        return metadata

    def _value(self, kind: int, key: str, depth: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind])
        if kind != _ARRAY or depth >= _NESTING_LIMIT:
            raise _corrupt(self._path, f"key `{key[:80]}` has the unknown type {kind}")
        inner, length = self._scalar("I"), self._scalar("Q")
        if inner in _SCALARS:
            size = struct.calcsize(f"<{_SCALARS[inner]}")
            if length > (self._bytes - self._at) // size:
                raise _corrupt(self._path, f"key `{key[:80]}` claims {length} values")
            data = self._take(length * size)
            if length > _KEPT_LENGTH:
                return ArrayLength(length)
            return list(struct.unpack(f"<{length}{_SCALARS[inner]}", data))
        # A text or an inner list takes at least the 8 bytes of its length.
        if length > (self._bytes - self._at) // 8:
            raise _corrupt(self._path, f"key `{key[:80]}` claims {length} values")
        if length > _KEPT_LENGTH:
            for _ in range(length):
                if inner == _STRING:
                    self._take(self._scalar("Q"))
                else:
                    self._value(inner, key, depth + 1)
            return ArrayLength(length)
        return [self._value(inner, key, depth + 1) for _ in range(length)]

    def _tensors(self, count: int, alignment: object) -> dict[str, GgufTensor]:
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise _corrupt(self._path, f"its alignment is `{str(alignment)[:40]}`")
        found = [self._tensor() for _ in range(count)]
        start = -(-self._at // alignment) * alignment
        tensors: dict[str, GgufTensor] = {}
        end = 0
        for tensor in sorted(found, key=lambda tensor: tensor.offset):
            if tensor.name in tensors:
                raise _corrupt(self._path, f"duplicate tensor `{tensor.name[:80]}`")
            if tensor.offset % alignment or tensor.offset < end:
                raise _corrupt(
                    self._path, f"tensor `{tensor.name[:80]}` overlaps another or is misaligned"
                )
            end = tensor.offset + tensor.bytes
            if start + end > self._bytes:
                raise _corrupt(
                    self._path, f"tensor `{tensor.name[:80]}` ends beyond the end of the file"
                )
            tensors[tensor.name] = GgufTensor(
                *(tensor.name, tensor.dtype, tensor.shape, tensor.bytes),
                *(start + tensor.offset, self._path),
            )
        return tensors

    def _tensor(self) -> GgufTensor:
        name = self._string()
        rank = self._scalar("I")
        if rank > _RANK_LIMIT:
            raise _corrupt(self._path, f"tensor `{name[:80]}` has {rank} axes")
        shape = tuple(self._scalar("Q") for _ in range(rank))
        kind, offset = self._scalar("I"), self._scalar("Q")
        if any(length >= 2**48 for length in shape):
            raise _corrupt(self._path, f"the shape of tensor `{name[:80]}` is `{shape}`")
        dtype, block, block_bytes = tensor_type(kind, name)
        row = shape[0] if shape else 1
        if row % block:
            raise _corrupt(
                self._path, f"tensor `{name[:80]}` has rows of {row}, not blocks of {block}"
            )
        size = math.prod(shape) // block * block_bytes
        return GgufTensor(name, dtype, shape, size, offset, self._path)


def tensor_type(kind: int, name: str) -> tuple[str, int, int]:
    """Name, elements and bytes per block of ggml's tensor type number `kind`."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        known = GGMLQuantizationType(kind)
        block, block_bytes = GGML_QUANT_SIZES[known]
    except (ValueError, KeyError) as error:
        message = f"tensor `{name[:80]}` has the unknown type {kind}"
        raise UnsupportedError(message, hint="the file may be newer than this version") from error
    return str(known.name), int(block), int(block_bytes)
