"""Reads machine code for NVIDIA's GPUs: what an ELF file says that it is for, and its functions."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SYMBOLS, _FUNCTION = 2, 2
_FATBIN = b"\x50\xed\x55\xba"


@dataclass(frozen=True)
class Elf:
    """The part of an ELF file that says what it is for, and its functions' names.

    `abi`: 7 for machine code that drivers of CUDA 12.0 and newer take, 8 for later kinds.
    """

    machine: int
    abi: int
    architecture: int
    functions: set[str]


def elf(code: bytes) -> Elf:
    """Reads a little-endian 64-bit ELF file (System V ABI, chapter 4; cubins: flags hold sm_XY)."""
    abi = code[8]
    assert code[:6] == b"\x7fELF\x02\x01"
    (machine,) = struct.unpack_from("<H", code, 18)
    (table,) = struct.unpack_from("<Q", code, 40)
    (flags,) = struct.unpack_from("<I", code, 48)
    size, count = struct.unpack_from("<HH", code, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, table + i * size) for i in range(count)]
    functions = set()
    for section in (one for one in sections if one[1] == _SYMBOLS):
        names = sections[section[6]][4]
        for position in range(section[4], section[4] + section[5], 24):
            name, info = struct.unpack_from("<IB", code, position)
            if info & 15 == _FUNCTION:
                end = code.index(b"\0", names + name)
                functions.add(code[names + name : end].decode())
    return Elf(machine, abi, flags >> (8 if abi == 8 else 0) & 0xFF, functions)


def embedded(compiled: bytes) -> bytes:
    """The machine code for a GPU that an object file holds, in NVIDIA's container, as one ELF."""
    start = compiled.index(_FATBIN)
    header_bytes = struct.unpack_from("<H", compiled, start + 6)[0]
    entry = start + header_bytes
    kind, _, entry_bytes, code_bytes = struct.unpack_from("<HHIQ", compiled, entry)
    # 2: machine code; 1 would be PTX, which the driver compiles first.
    assert kind == 2
    return compiled[entry + entry_bytes :][:code_bytes]
