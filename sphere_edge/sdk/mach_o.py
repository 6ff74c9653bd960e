"""Reads of a Mach-O object file what linking it needs: its platform and the symbols it defines.

Source: Apple's `mach-o/loader.h` and `mach-o/nlist.h`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from sphere_edge.errors import ModelCorruptError

IOS = 2
_MAGIC_64 = 0xFEEDFACF
_ARM64 = 0x0100000C
_OBJECT = 1
_LC_SYMTAB = 0x2
_LC_VERSION_MIN_IPHONEOS = 0x25
_LC_BUILD_VERSION = 0x32
_HEADER = struct.Struct("<8I")
_COMMAND = struct.Struct("<2I")
_SYMTAB = struct.Struct("<6I")
_SYMBOL = struct.Struct("<I2BHQ")
_EXTERNAL, _KIND, _DEFINED = 0x01, 0x0E, 0x0E


@dataclass(frozen=True)
class ObjectFile:
    """`platform` as in LC_BUILD_VERSION, 2 for iOS; `symbols` as a linker sees them, with `_`."""

    platform: int
    symbols: tuple[str, ...]


def read(content: bytes, name: str) -> ObjectFile:
    """Raises ModelCorruptError, naming `name`, for what is not a 64-bit ARM object file."""
    try:
        magic, cpu, _, kind, count, size, _, _ = _HEADER.unpack_from(content)
        if (magic, cpu, kind) != (_MAGIC_64, _ARM64, _OBJECT):
            message = f"`{name}` is not a 64-bit ARM object file for Apple's systems"
            raise ModelCorruptError(message, hint="package the model again")
        platform = 0
        symbols: tuple[str, ...] = ()
        for command, offset in _commands(content, count, size):
            if command == _LC_BUILD_VERSION:
                (platform,) = struct.unpack_from("<I", content, offset + 8)
            elif command == _LC_VERSION_MIN_IPHONEOS:
                platform = IOS
            elif command == _LC_SYMTAB:
                symbols = tuple(_defined(content, offset))
    except (struct.error, ValueError) as error:
        message = f"the object file `{name}` is cut off"
        raise ModelCorruptError(message, hint="package the model again") from error
    return ObjectFile(platform, symbols)


def _commands(content: bytes, count: int, size: int) -> Iterator[tuple[int, int]]:
    """Each load command's kind and where it begins."""
    offset, end = _HEADER.size, _HEADER.size + size
    for _ in range(count):
        command, length = _COMMAND.unpack_from(content, offset)
        if length < _COMMAND.size or offset + length > min(end, len(content)):
            raise ValueError
        yield command, offset
        offset += length


def _defined(content: bytes, offset: int) -> Iterator[str]:
    """The names that other files can refer to."""
    _, _, first, count, strings, length = _SYMTAB.unpack_from(content, offset)
    names = content[strings : strings + length]
    if first + count * _SYMBOL.size > len(content):
        raise ValueError
    for number in range(count):
        at, kind, _, _, _ = _SYMBOL.unpack_from(content, first + number * _SYMBOL.size)
        if kind & _EXTERNAL and kind & _KIND == _DEFINED:
            yield names[at : names.index(b"\0", at)].decode("ascii")
