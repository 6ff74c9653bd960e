"""Reads ELF object files (System V ABI, chapters 4 and 5; 64 bit, little-endian)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

X86_64, AARCH64 = 62, 183
# Section types and flags.
PROGBITS, STRTAB, RELA, HASH, DYNAMIC, NOBITS, DYNSYM = 1, 3, 4, 5, 6, 8, 11
VERNEED, VERSYM = 0x6FFFFFFE, 0x6FFFFFFF
WRITE, ALLOC, EXECUTE = 1, 2, 4
_SYMTAB, _GROUP, _THREAD_LOCAL = 2, 17, 0x400
_LOCAL, _WEAK = 0, 2
_UNDEFINED = 0

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")


class LinkError(Exception):
    """Why these objects cannot be linked; link.py makes it an error for the user."""


@dataclass(frozen=True)
class Symbol:
    """A name for an address in `section`; None: it is defined elsewhere."""

    name: str
    # As in the file: binding and type, and the visibility.
    info: int
    visibility: int
    section: Section | None
    value: int
    size: int

    @property
    def is_defined(self) -> bool:
        """Whether these objects define it."""
        return self.section is not None

    @property
    def is_local(self) -> bool:
        """Whether only its own object file knows it."""
        return self.info >> 4 == _LOCAL

    @property
    def is_weak(self) -> bool:
        """Whether another definition takes precedence."""
        return self.info >> 4 == _WEAK

    @property
    def is_exported(self) -> bool:
        """Whether programs that load the library find it: default or protected visibility."""
        return self.is_defined and not self.is_local and self.visibility in (0, 3)


@dataclass(frozen=True)
class Relocation:
    """An address that is written into a section once it is known: `symbol` + `addend`."""

    offset: int
    kind: int
    symbol: Symbol
    addend: int


@dataclass(eq=False)
class Section:
    """A piece of memory; `content` is empty where all of its bytes are zero (NOBITS)."""

    name: str
    kind: int
    flags: int
    alignment: int
    size: int
    content: bytearray
    relocations: list[Relocation] = field(default_factory=list)
    # Of tables.
    entry_bytes: int = 0
    # Where it lies in the library, and the how manieth it is; known after the layout.
    address: int = 0
    offset: int = 0
    number: int = 0


@dataclass(frozen=True)
class ObjectFile:
    """The sections that a program has in memory, and the symbols, of one object file."""

    machine: int
    sections: list[Section]
    symbols: list[Symbol]


def read(path: Path) -> ObjectFile:
    """The object file at `path`. Raises LinkError."""
    try:
        return _read(path.read_bytes())
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        message = "a damaged object file"
        raise LinkError(message) from error


def _read(data: bytes) -> ObjectFile:
    if data[:6] != b"\x7fELF\x02\x01" or _HEADER.unpack_from(data)[1] != 1:
        message = "not an ELF object file"
        raise LinkError(message)
    machine, table, count, names_index = (_HEADER.unpack_from(data)[i] for i in (2, 6, 12, 13))
    headers = [_SECTION.unpack_from(data, table + i * _SECTION.size) for i in range(count)]
    names_offset = headers[names_index][4]
    kept: dict[int, Section] = {}
    for index, (name, kind, flags, _, offset, size, _, _, alignment, _) in enumerate(headers):
        named = _text(data, names_offset + name)
        # Compiled models never unwind, and only debuggers read notes.
        if not flags & ALLOC or named == ".eh_frame" or named.startswith(".note"):
            continue
        if kind not in (PROGBITS, NOBITS) or flags & _THREAD_LOCAL:
            message = f"a section `{named}` of the unknown kind {kind}"
            raise LinkError(message)
        content = data[offset : offset + size] if kind == PROGBITS else b""
        kept[index] = Section(named, kind, flags, max(alignment, 1), size, bytearray(content))
    symbols: list[Symbol] = []
    for header in headers:
        if header[1] == _GROUP:
            message = "a group of sections"
            raise LinkError(message)
        if header[1] == _SYMTAB:
            symbols = list(_symbols(data, header, headers[header[6]][4], kept))
    for header in headers:
        # Its last fields but two name the table of symbols, and the section to change.
        if header[1] == RELA and header[7] in kept:
            offset, size = header[4], header[5]
            kept[header[7]].relocations = [
                Relocation(at, information & 0xFFFFFFFF, symbols[information >> 32], addend)
                for at, information, addend in _RELOCATION.iter_unpack(data[offset : offset + size])
            ]
    return ObjectFile(machine, list(kept.values()), symbols)


def _symbols(
    data: bytes, header: tuple[int, ...], names: int, sections: dict[int, Section]
) -> Iterator[Symbol]:
    offset, size = header[4], header[5]
    for name, info, other, index, value, bytes_ in _SYMBOL.iter_unpack(
        data[offset : offset + size]
    ):
        named = _text(data, names + name)
        symbol = Symbol(named, info, other & 3, sections.get(index), value, bytes_)
        if not (symbol.is_local or symbol.is_defined or index == _UNDEFINED):
            message = f"`{named}` is in a section that a library does not keep"
            raise LinkError(message)
        yield symbol


def _text(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode("ascii")
