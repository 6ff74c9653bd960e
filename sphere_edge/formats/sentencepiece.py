"""A SentencePiece tokenizer.model: the pieces and flags that we need, read from its protobuf.

Fields: sentencepiece_model.proto of https://github.com/google/sentencepiece (ModelProto,
TrainerSpec, NormalizerSpec). No protobuf library: a dozen fields do not pay for one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sphere_edge.errors import ModelCorruptError, UnsupportedError

_LIMIT_BYTES = 256 * 1024 * 1024
_PIECES_LIMIT = 4_000_000
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
_BPE = 2


@dataclass(frozen=True)
class Piece:
    """One token; `kind` as in the proto, which GGUF's token types repeat."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePieceModel:
    """A BPE model; ids are positions in `pieces`, -1 for none."""

    pieces: tuple[Piece, ...]
    unknown_id: int
    bos_id: int
    eos_id: int
    pad_id: int
    adds_space_prefix: bool


def read(path: Path) -> SentencePieceModel:
    """The model at `path`. Raises ModelCorruptError; UnsupportedError if it is not plain BPE."""
    if path.stat().st_size > _LIMIT_BYTES:
        message = f"`{path.name}` is larger than {_LIMIT_BYTES} bytes"
        raise ModelCorruptError(message)
    try:
        return _model(path.read_bytes(), path.name)
    except (ValueError, struct.error) as error:
        message = f"`{path.name}` is not a SentencePiece model: {error}"
        raise ModelCorruptError(message) from error


def _model(data: bytes, file: str) -> SentencePieceModel:
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for number, value in _fields(data):
        if number == 1:
            pieces.append(_piece(_bytes(value)))
        elif number == 2:
            trainer = dict(_fields(_bytes(value)))
        elif number == 3:
            normalizer = dict(_fields(_bytes(value)))
        if len(pieces) > _PIECES_LIMIT:
            message = "it has too many pieces"
            raise ValueError(message)
    if not pieces:
        message = "it has no pieces"
        raise ValueError(message)
    if trainer.get(3, 1) != _BPE:
        message = f"`{file}` is a SentencePiece model of another kind than BPE"
        raise UnsupportedError(message, hint="a GGUF of the model brings its own tokenizer")
    if normalizer.get(2) or normalizer.get(4, 1):
        message = f"`{file}` normalizes text before splitting it"
        raise UnsupportedError(message, hint="a GGUF of the model brings its own tokenizer")
    ids = [_signed(trainer.get(40, 0)), _signed(trainer.get(41, 1)), _signed(trainer.get(42, 2))]
    ids.append(_signed(trainer.get(43, -1)))
    if max(ids) >= len(pieces):
        message = "a special token is beyond its pieces"
        raise ValueError(message)
    return SentencePieceModel(
        pieces=tuple(pieces),
        unknown_id=ids[0],
        bos_id=ids[1],
        eos_id=ids[2],
        pad_id=ids[3],
        adds_space_prefix=bool(normalizer.get(3, 1)),
    )


def _signed(value: int | bytes) -> int:
    """An int32 field; negative numbers are written as 64-bit two's complement."""
    if isinstance(value, bytes):
        message = "a number is a string"
        raise ValueError(message)  # noqa: TRY004  one kind of error for a damaged file
    return -1 if value >= 2**31 else value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        message = "a message is a number"
        raise ValueError(message)  # noqa: TRY004  one kind of error for a damaged file
    return value


def _piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(data):
        if number == 1:
            text = _bytes(value).decode("utf-8")
        elif number == 2:
            score = struct.unpack("<f", _bytes(value))[0]
        elif number == 3 and value in (NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE):
            kind = _signed(value)
    return Piece(text, score, kind)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of one protobuf message: varints as int, everything else as bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            message = f"wire type {wire} at byte {at}"
            raise ValueError(message)
        if at + length > len(data):
            message = f"a field ends beyond its end at byte {at}"
            raise ValueError(message)
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    message = f"a number is cut off at byte {at}"
    raise ValueError(message)
