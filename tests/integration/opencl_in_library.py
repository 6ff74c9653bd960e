"""The OpenCL C inside a compiled library, read and exchanged without running the library."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

_BEGIN = b"// Function: "


def source(library: Path) -> str:
    """All kernels; TVM stores them as text after their length in 8 bytes, little-endian."""
    content = library.read_bytes()
    start, end = _place(content)
    return content[start:end].decode()


def exchange(library: Path, change: Callable[[str], str]) -> None:
    """Writes `change` of the kernels in their place; what gets shorter is filled with spaces."""
    content = library.read_bytes()
    start, end = _place(content)
    before = content[start:end].decode()
    after = change(before)
    assert after != before, "the change found nothing to change"
    # Indentation makes room for what is added.
    text = re.sub(r"(?m)^ +", "", after).encode()
    assert len(text) <= end - start
    library.write_bytes(content[:start] + text.ljust(end - start) + content[end:])


def in_kernels(kind: str, change: Callable[[str], str]) -> Callable[[str], str]:
    """`change`, only in kernels whose names begin with `kind`."""

    def changed(text: str) -> str:
        first, *kernels = text.split(_BEGIN.decode())
        parts = [change(one) if one.startswith(kind) else one for one in kernels]
        return _BEGIN.decode().join([first, *parts])

    return changed


def _place(content: bytes) -> tuple[int, int]:
    start = content.index(_BEGIN)
    end = start + int.from_bytes(content[start - 8 : start], "little")
    assert content.count(_BEGIN, start, end) == content.count(_BEGIN)
    return start, end
