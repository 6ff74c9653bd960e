"""How each kind of relocation that LLVM makes for models is written into machine code.

The numbers and formulas are those of the x86-64 psABI (chapter 4) and of "ELF for the Arm 64-bit
Architecture" (chapter 5): S is the symbol's address, A the addend, P the address that is changed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from sphere_edge.toolchain.elf.objects import AARCH64, X86_64, LinkError

# What S is: the symbol, a word that holds the symbol's address, or a jump to it if it is elsewhere.
Through = Literal["itself", "got", "plt"]
# Changes the bytes at an offset, given S + A and P.
Patch = Callable[[bytearray, int, int, int], None]


@dataclass(frozen=True)
class Kind:
    """One kind; `patch` None: the loader fills in a whole address."""

    through: Through
    patch: Patch | None


@dataclass(frozen=True)
class Machine:
    """An architecture's kinds by their numbers, those that its loaders know, and its jumps."""

    kinds: Mapping[int, Kind]
    # Numbers: base + addend, a symbol's address in the table of addresses, one anywhere else.
    relative: int
    global_data: int
    absolute: int
    # The code of a jump to what the word at the first address holds, at the second address.
    jump: Callable[[int, int], bytes]
    jump_bytes: int
    page_bytes: int


def _fits(value: int, bits: int) -> int:
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        message = "an address out of reach"
        raise LinkError(message)
    return value


def _word(data: bytearray, at: int, keep: int, bits: int) -> None:
    (word,) = struct.unpack_from("<I", data, at)
    struct.pack_into("<I", data, at, word & keep | bits)


def _relative32(data: bytearray, at: int, target: int, place: int) -> None:
    struct.pack_into("<i", data, at, _fits(target - place, 32))


def _relative64(data: bytearray, at: int, target: int, place: int) -> None:
    struct.pack_into("<q", data, at, target - place)


def _page(data: bytearray, at: int, target: int, place: int) -> None:
    pages = _fits((target >> 12) - (place >> 12), 21)
    _word(data, at, 0x9F00001F, (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5)


def _call(data: bytearray, at: int, target: int, place: int) -> None:
    _word(data, at, 0xFC000000, _fits(target - place, 28) >> 2 & 0x3FFFFFF)


def _low_bits(shift: int) -> Patch:
    def patch(data: bytearray, at: int, target: int, place: int) -> None:
        if target & ((1 << shift) - 1):
            message = "an address that is not aligned"
            raise LinkError(message)
        _word(data, at, 0xFFC003FF, (target & 0xFFF) >> shift << 10)

    return patch


def _jump_x86(slot: int, place: int) -> bytes:
    # jmp *slot(%rip), and two bytes that do nothing.
    return b"\xff\x25" + struct.pack("<i", _fits(slot - place - 6, 32)) + b"\x66\x90"


def _jump_arm(slot: int, place: int) -> bytes:
    # adrp x16, slot; ldr x17, [x16, slot]; br x17
    code = bytearray(struct.pack("<III", 0x90000010, 0xF9400211, 0xD61F0220))
    _page(code, 0, slot, place)
    _low_bits(3)(code, 4, slot, place)
    return bytes(code)


MACHINES: Mapping[int, Machine] = {
    X86_64: Machine(
        kinds={
            1: Kind("itself", None),  # R_X86_64_64
            2: Kind("itself", _relative32),  # PC32
            4: Kind("plt", _relative32),  # PLT32
            9: Kind("got", _relative32),  # GOTPCREL
            24: Kind("itself", _relative64),  # PC64
            41: Kind("got", _relative32),  # GOTPCRELX
            42: Kind("got", _relative32),  # REX_GOTPCRELX
        },
        relative=8,
        global_data=6,
        absolute=1,
        jump=_jump_x86,
        jump_bytes=8,
        page_bytes=0x1000,
    ),
    AARCH64: Machine(
        kinds={
            257: Kind("itself", None),  # R_AARCH64_ABS64
            260: Kind("itself", _relative64),  # PREL64
            261: Kind("itself", _relative32),  # PREL32
            275: Kind("itself", _page),  # ADR_PREL_PG_HI21
            277: Kind("itself", _low_bits(0)),  # ADD_ABS_LO12_NC
            278: Kind("itself", _low_bits(0)),  # LDST8_ABS_LO12_NC
            282: Kind("plt", _call),  # JUMP26
            283: Kind("plt", _call),  # CALL26
            284: Kind("itself", _low_bits(1)),  # LDST16_ABS_LO12_NC
            285: Kind("itself", _low_bits(2)),  # LDST32_ABS_LO12_NC
            286: Kind("itself", _low_bits(3)),  # LDST64_ABS_LO12_NC
            299: Kind("itself", _low_bits(4)),  # LDST128_ABS_LO12_NC
            311: Kind("got", _page),  # ADR_GOT_PAGE
            312: Kind("got", _low_bits(3)),  # LD64_GOT_LO12_NC
        },
        relative=1027,
        global_data=1025,
        absolute=257,
        jump=_jump_arm,
        jump_bytes=12,
        # The largest that Linux has on this architecture.
        page_bytes=0x10000,
    ),
}
