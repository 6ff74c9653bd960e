"""Puts object files together into a shared library for Linux or Android.

Every name that the objects define is bound to that definition, so that two models in one process
never share a variable; what they do not define is looked up when the library is loaded. There are
no lazy bindings, constructors, thread-local data or unwinding tables: compiled models need none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sphere_edge.toolchain.elf import objects
from sphere_edge.toolchain.elf.objects import LinkError, ObjectFile, Section, Symbol
from sphere_edge.toolchain.elf.relocations import MACHINES, Kind

_HEADER_BYTES, _SEGMENT_BYTES, _MOST_SEGMENTS, _SECTION_BYTES = 64, 56, 7, 64
_READ, _READ_EXECUTE, _READ_WRITE = 4, 5, 6
_LOAD, _DYNAMIC, _STACK, _RELRO = 1, 2, 0x6474E551, 0x6474E552
# Our own sections: type, flags besides ALLOC, alignment, bytes of an entry.
_TABLES = {
    ".hash": (objects.HASH, 0, 8, 4),
    ".dynsym": (objects.DYNSYM, 0, 8, 24),
    ".gnu.version": (objects.VERSYM, 0, 2, 2),
    ".gnu.version_r": (objects.VERNEED, 0, 8, 0),
    ".dynstr": (objects.STRTAB, 0, 1, 0),
    ".rela.dyn": (objects.RELA, 0, 8, 24),
    ".plt": (objects.PROGBITS, objects.EXECUTE, 16, 0),
    ".dynamic": (objects.DYNAMIC, objects.WRITE, 8, 16),
    ".got": (objects.PROGBITS, objects.WRITE, 8, 8),
}
# The table that another one refers to.
_RELATED = {
    **dict.fromkeys((".hash", ".gnu.version", ".rela.dyn"), ".dynsym"),
    **dict.fromkeys((".dynsym", ".gnu.version_r", ".dynamic"), ".dynstr"),
}


@dataclass(frozen=True)
class Imports:
    """Where the loader looks for what the objects do not define.

    `versions`: name of a function -> the library and the version in it that is meant. For the
    others glibc takes the oldest.
    """

    libraries: tuple[str, ...]
    versions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # The name by which others ask for the library itself, if they do.
    name: str | None = None


def link(files: Sequence[Path], imports: Imports, page_bytes: int | None = None) -> bytes:
    """The library's bytes, the same for the same objects. Raises LinkError.

    `page_bytes`: the largest pages of memory with which it loads, if not the architecture's.
    """
    read = [objects.read(path) for path in files]
    machines = {file.machine for file in read}
    if len(machines) != 1 or not machines <= set(MACHINES):
        message = "objects for an unknown machine, or for several"
        raise LinkError(message)
    return _Library(machines.pop(), read, imports, page_bytes).link()


def empty(name: str, machine: int) -> bytes:
    """A library with nothing in it but its `name`, in place of one that is missing."""
    return _Library(machine, [], Imports((), name=name), None).link()


@dataclass(frozen=True)
class _Segment:
    """What is loaded with the same rights."""

    flags: int
    sections: list[Section]
    # The loader writes into it, and nobody afterwards.
    is_relro: bool = False


class _Library:
    """One link. Tables are computed twice: before addresses are known, for their sizes."""

    def __init__(
        self, machine: int, files: list[ObjectFile], imports: Imports, page_bytes: int | None
    ) -> None:
        self._number = machine
        self._machine = MACHINES[self._number]
        self._imports = imports
        self._page_bytes = page_bytes or self._machine.page_bytes
        self._sections = [section for file in files for section in file.sections]
        self._definitions = _definitions(files)
        self._names: dict[str, int] = {}
        self._tables: dict[str, Section] = {}
        # What is looked up when the library is loaded; what has a word in the table of addresses
        # (.got), by name or, if local, by itself; which functions are called through it (.plt).
        self._looked_up: dict[str, Symbol] = {}
        self._slots: dict[str | Symbol, int] = {}
        self._jumps: dict[str, int] = {}
        for section in self._sections:
            for relocation in section.relocations:
                self._note(section, self._kind(relocation.kind), self._final(relocation.symbol))
        self._exported = [one for one in self._definitions.values() if one.is_exported]
        shown = (*self._looked_up, *(symbol.name for symbol in self._exported))
        self._index = {name: number for number, name in enumerate(shown, start=1)}

    def link(self) -> bytes:
        """The finished library."""
        for name, content in self._contents().items():
            # Loaders refuse empty tables.
            if content:
                kind, flags, alignment, entry_bytes = _TABLES[name]
                self._tables[name] = Section(
                    *(name, kind, objects.ALLOC | flags, alignment, len(content)),
                    content=bytearray(content),
                    entry_bytes=entry_bytes,
                )
        segments = self._segments()
        self._place(segments)
        for section in self._sections:
            self._patch(section)
        for name, content in self._contents().items():
            if content:
                self._tables[name].content[:] = content
        return self._written(segments)

    def _kind(self, number: int) -> Kind:
        if number not in self._machine.kinds:
            message = f"a relocation of the unknown kind {number}"
            raise LinkError(message)
        return self._machine.kinds[number]

    def _final(self, symbol: Symbol) -> Symbol:
        """The definition that a use of the symbol means; itself if there is none."""
        return symbol if symbol.is_local else self._definitions.get(symbol.name, symbol)

    def _note(self, section: Section, kind: Kind, symbol: Symbol) -> None:
        if not symbol.is_defined:
            if symbol.is_local:
                message = f"a use of what is not kept, in `{section.name}`"
                raise LinkError(message)
            self._looked_up.setdefault(symbol.name, symbol)
        if kind.through == "got" or (kind.through == "plt" and not symbol.is_defined):
            self._slots.setdefault(_key(symbol), len(self._slots))
            if kind.through == "plt":
                self._jumps.setdefault(symbol.name, len(self._jumps))
        elif kind.patch is None and not section.flags & objects.WRITE:
            message = f"an address in `{section.name}`, which is not writable"
            raise LinkError(message)
        elif kind.patch is not None and not symbol.is_defined:
            message = f"`{symbol.name}` is not defined"
            raise LinkError(message)

    def _segments(self) -> list[_Segment]:
        tables, given = list(self._tables.values()), self._sections
        relro = [one for one in given if one.name.startswith(".data.rel.ro")]
        data = [one for one in given if one.flags & objects.WRITE and one not in relro]
        # Zeros take no room in the file where they come last.
        data.sort(key=lambda one: one.kind == objects.NOBITS)

        def constant(one: Section) -> bool:
            return not one.flags & (objects.WRITE | objects.EXECUTE)

        def code(one: Section) -> bool:
            return bool(one.flags & objects.EXECUTE)

        writable = [one for one in tables if one.flags & objects.WRITE]
        made = [
            _Segment(_READ, [*filter(constant, tables), *filter(constant, given)]),
            _Segment(_READ_EXECUTE, [*filter(code, given), *filter(code, tables)]),
            _Segment(_READ_WRITE, [*writable, *relro], is_relro=True),
            _Segment(_READ_WRITE, data),
        ]
        return [one for one in made if any(section.size for section in one.sections)]

    def _place(self, segments: list[_Segment]) -> None:
        placed: list[Section] = []
        offset = address = _HEADER_BYTES + _MOST_SEGMENTS * _SEGMENT_BYTES
        for number, segment in enumerate(segments):
            if number:
                # A new page of memory, and there as far from its beginning as in the file.
                offset = _aligned(offset, max(one.alignment for one in segment.sections))
                address = _aligned(address, self._page_bytes) + offset % self._page_bytes
            for one in segment.sections:
                placed.append(one)
                one.number = len(placed)
                begin = _aligned(address, one.alignment)
                one.address, one.offset = begin, offset
                if one.kind != objects.NOBITS:
                    one.offset += begin - address
                    offset = one.offset + one.size
                address = begin + one.size

    def _address(self, symbol: Symbol) -> int:
        return 0 if symbol.section is None else symbol.section.address + symbol.value

    def _address_in(self, table: str, offset: int) -> int:
        return offset + (self._tables[table].address if table in self._tables else 0)

    def _slot_address(self, symbol: Symbol) -> int:
        return self._address_in(".got", 8 * self._slots[_key(symbol)])

    def _jump_address(self, name: str) -> int:
        return self._address_in(".plt", self._machine.jump_bytes * self._jumps[name])

    def _patch(self, section: Section) -> None:
        """Writes addresses into the section, where they can be known before it is loaded."""
        for relocation in section.relocations:
            kind, symbol = self._kind(relocation.kind), self._final(relocation.symbol)
            if kind.patch is None:
                continue
            if kind.through == "got":
                target = self._slot_address(symbol)
            elif kind.through == "plt" and not symbol.is_defined:
                target = self._jump_address(symbol.name)
            else:
                target = self._address(symbol)
            place = section.address + relocation.offset
            kind.patch(section.content, relocation.offset, target + relocation.addend, place)

    def _contents(self) -> dict[str, bytes]:
        """What is in each of our own tables, as far as it is known."""
        own = (self._imports.name,) if self._imports.name is not None else ()
        words = (*self._index, *self._imports.libraries, *(w for v in self._versions() for w in v))
        names = b"\0"
        for word in dict.fromkeys((*words, *own)):
            self._names[word] = len(names)
            names += word.encode("ascii") + b"\0"
        has_versions = bool(self._versions())
        return {
            ".hash": self._hash_table(),
            ".dynsym": bytes(24) + b"".join(self._symbols()),
            ".gnu.version": b"".join(self._version_numbers()) if has_versions else b"",
            ".gnu.version_r": b"".join(self._version_table()),
            ".dynstr": names,
            ".rela.dyn": b"".join(self._for_loader()),
            ".plt": b"".join(self._jump_code()),
            ".dynamic": b"".join(struct.pack("<qQ", *entry) for entry in self._dynamic()),
            ".got": bytes(8 * len(self._slots)),
        }

    def _for_loader(self) -> Iterator[bytes]:
        """The addresses that only the loader knows."""
        for section in self._sections:
            for relocation in section.relocations:
                if self._kind(relocation.kind).patch is None:
                    place = section.address + relocation.offset
                    symbol = self._final(relocation.symbol)
                    yield self._filled(place, symbol, relocation.addend, self._machine.absolute)
        for key in self._slots:
            symbol = key if isinstance(key, Symbol) else self._named(key)
            place = self._slot_address(symbol)
            yield self._filled(place, symbol, 0, self._machine.global_data)

    def _named(self, name: str) -> Symbol:
        return self._definitions.get(name) or self._looked_up[name]

    def _filled(self, place: int, symbol: Symbol, addend: int, kind: int) -> bytes:
        if symbol.is_defined:
            kind, addend = self._machine.relative, self._address(symbol) + addend
        else:
            kind |= self._index[symbol.name] << 32
        return struct.pack("<QQq", place, kind, addend)

    def _symbols(self) -> Iterator[bytes]:
        for symbol in (*self._looked_up.values(), *self._exported):
            section = 0 if symbol.section is None else symbol.section.number
            yield struct.pack(
                "<IBBHQQ",
                *(self._names[symbol.name], symbol.info, symbol.visibility),
                *(section, self._address(symbol), symbol.size),
            )

    def _hash_table(self) -> bytes:
        count = 1 + len(self._index)
        buckets, chains = [0] * count, [0] * count
        for name, index in self._index.items():
            bucket = _hash(name) % count
            chains[index], buckets[bucket] = buckets[bucket], index
        return struct.pack(f"<{2 + 2 * count}I", count, count, *buckets, *chains)

    def _versions(self) -> list[tuple[str, str]]:
        wanted = (self._imports.versions.get(name) for name in self._looked_up)
        return sorted({one for one in wanted if one is not None})

    def _version_numbers(self) -> Iterator[bytes]:
        versions = self._versions()
        yield bytes(2)
        for name in self._index:
            wanted = self._imports.versions.get(name) if name in self._looked_up else None
            # 1: whatever version there is.
            yield struct.pack("<H", 1 if wanted is None else 2 + versions.index(wanted))

    def _version_table(self) -> Iterator[bytes]:
        versions = self._versions()
        for number, (library, version) in enumerate(versions, start=1):
            following = 32 if number < len(versions) else 0
            yield struct.pack("<HHIII", 1, 1, self._names[library], 16, following)
            yield struct.pack("<IHHII", _hash(version), 0, 1 + number, self._names[version], 0)

    def _jump_code(self) -> Iterator[bytes]:
        for name in self._jumps:
            slot = self._slot_address(self._looked_up[name])
            yield self._machine.jump(slot, self._jump_address(name))

    def _dynamic(self) -> Iterator[tuple[int, int]]:
        def size(table: str) -> int:
            return self._tables[table].size if table in self._tables else 0

        for library in self._imports.libraries:
            yield 1, self._names[library]
        if self._imports.name is not None:
            yield 14, self._names[self._imports.name]
        # DT_FLAGS and DT_FLAGS_1: no lazy binding.
        yield 30, 8
        yield 0x6FFFFFFB, 1
        yield 4, self._address_in(".hash", 0)
        yield 5, self._address_in(".dynstr", 0)
        yield 10, size(".dynstr")
        yield 6, self._address_in(".dynsym", 0)
        yield 11, 24
        if any(self._for_loader()):
            yield 7, self._address_in(".rela.dyn", 0)
            yield 8, size(".rela.dyn")
            yield 9, 24
        if versions := self._versions():
            yield 0x6FFFFFF0, self._address_in(".gnu.version", 0)
            yield 0x6FFFFFFE, self._address_in(".gnu.version_r", 0)
            yield 0x6FFFFFFF, len(versions)
        yield 0, 0

    def _written(self, segments: list[_Segment]) -> bytes:
        sections = [one for segment in segments for one in segment.sections]
        named = [*(one.name for one in sections), ".shstrtab"]
        names = b"\0" + b"".join(name.encode("ascii") + b"\0" for name in named)
        at = [1 + sum(len(name) + 1 for name in named[:number]) for number in range(len(named))]
        out = bytearray()
        for one in sections:
            if one.kind != objects.NOBITS:
                out += bytes(one.offset - len(out)) + one.content
        names_offset = len(out)
        out += names
        out += bytes(_aligned(len(out), 8) - len(out))
        headers_offset = len(out)
        out += bytes(_SECTION_BYTES)
        for name, one in zip(at, sections, strict=False):
            out += self._section_header(name, one)
        own = (at[-1], objects.STRTAB, 0, 0, names_offset, len(names), 0, 0, 1, 0)
        out += struct.pack("<IIQQQQIIQQ", *own)
        parts = list(self._program_headers(segments))
        head = struct.pack(
            "<16sHHIQQQIHHHHHH",
            *(b"\x7fELF\x02\x01\x01", 3, self._number, 1, 0, _HEADER_BYTES, headers_offset, 0),
            *(_HEADER_BYTES, _SEGMENT_BYTES, len(parts)),
            *(_SECTION_BYTES, len(sections) + 2, len(sections) + 1),
        ) + b"".join(parts)
        out[: len(head)] = head
        return bytes(out)

    def _section_header(self, name: int, one: Section) -> bytes:
        link = self._tables[_RELATED[one.name]].number if one.name in _RELATED else 0
        # The first symbol that is not local; the number of entries.
        information = {".dynsym": 1, ".gnu.version_r": len(self._versions())}.get(one.name, 0)
        return struct.pack(
            "<IIQQQQIIQQ",
            *(name, one.kind, one.flags, one.address, one.offset, one.size),
            *(link, information, one.alignment, one.entry_bytes),
        )

    def _program_headers(self, segments: list[_Segment]) -> Iterator[bytes]:
        for number, segment in enumerate(segments):
            first, last = segment.sections[0], segment.sections[-1]
            in_file = [one for one in segment.sections if one.kind != objects.NOBITS]
            offset, address = (0, 0) if number == 0 else (first.offset, first.address)
            file_end = in_file[-1].offset + in_file[-1].size if in_file else offset
            end = last.address + last.size
            if segment.is_relro:
                # Whole pages, which the loader then makes read-only.
                end = _aligned(end, self._page_bytes)
            where = _Extent(offset, address, file_end - offset, end - address)
            if segment.is_relro:
                yield _part(_RELRO, _READ, where, 1)
            yield _part(_LOAD, segment.flags, where, self._page_bytes)
        table = self._tables[".dynamic"]
        where = _Extent(table.offset, table.address, table.size, table.size)
        yield _part(_DYNAMIC, _READ_WRITE, where, 8)
        # Neither this library nor any other with it makes the stack executable.
        yield _part(_STACK, _READ_WRITE, _Extent(0, 0, 0, 0), 16)


def _definitions(files: list[ObjectFile]) -> dict[str, Symbol]:
    """The definition of each name that is not local. Raises LinkError where there are two."""
    found: dict[str, Symbol] = {}
    for symbol in (symbol for file in files for symbol in file.symbols):
        if symbol.is_local or not symbol.is_defined:
            continue
        other = found.get(symbol.name)
        if other is None or (other.is_weak and not symbol.is_weak):
            found[symbol.name] = symbol
        elif not symbol.is_weak:
            message = f"`{symbol.name}` is defined twice"
            raise LinkError(message)
    return found


def _key(symbol: Symbol) -> str | Symbol:
    return symbol if symbol.is_local else symbol.name


def _aligned(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def _hash(name: str) -> int:
    """The hash function of the System V ABI, chapter 5."""
    value = 0
    for byte in name.encode("ascii"):
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high
    return value


class _Extent(NamedTuple):
    """Where a part of the library is, and how many bytes it takes."""

    offset: int
    address: int
    in_file: int
    in_memory: int


def _part(kind: int, flags: int, where: _Extent, alignment: int) -> bytes:
    """A program header."""
    offset, address, in_file, in_memory = where
    # The physical address is the same; nothing reads it.
    return struct.pack(
        "<IIQQQQQQ", kind, flags, offset, address, address, in_file, in_memory, alignment
    )
