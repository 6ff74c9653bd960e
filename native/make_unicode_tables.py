"""Writes src/text/unicode_tables.h from Python's unicodedata; takes no arguments.

General categories, canonical decompositions, compositions and combining classes, as tokenizers need
them (Unicode Standard Annexes 15 and 44). Run with a newer Python for a newer Unicode.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

TABLES = Path(__file__).parent / "src" / "text" / "unicode_tables.h"
# In the order of the bits that `CategorySet` has; sphere_edge's runtime reads names from this list.
CATEGORIES = [
    "Lu",
    "Ll",
    "Lt",
    "Lm",
    "Lo",
    "Mn",
    "Mc",
    "Me",
    "Nd",
    "Nl",
    "No",
    "Pc",
    "Pd",
    "Ps",
    "Pe",
    "Pi",
    "Pf",
    "Po",
    "Sm",
    "Sc",
    "Sk",
    "So",
    "Zs",
    "Zl",
    "Zp",
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
]
_LINE = 112


def _runs(values: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Where a new value begins, and the value."""
    last = -1
    for code, value in enumerate(values):
        if value != last:
            yield code, value
            last = value


def _decomposition(code: int) -> tuple[int, int] | None:
    """The one or two code points that `code` is canonically; the second may be 0."""
    said = unicodedata.decomposition(chr(code))
    if not said or said.startswith("<"):
        return None
    parts = [int(part, 16) for part in said.split()]
    return parts[0], parts[1] if len(parts) > 1 else 0


def _composes(code: int, parts: tuple[int, int]) -> bool:
    """Whether the two become `code` again, which the standard excludes for some."""
    return parts[1] != 0 and unicodedata.normalize("NFC", chr(parts[0]) + chr(parts[1])) == chr(
        code
    )


def _array(name: str, kind: str, comment: str, items: Iterable[str]) -> str:
    lines, line = [], ""
    for item in items:
        if len(line) + len(item) + 2 > _LINE:
            lines.append(line.rstrip())
            line = ""
        line += f"{item}, "
    lines.append(line.rstrip())
    body = "\n    ".join(lines)
    return f"// {comment}\ninline constexpr {kind} {name}[] = {{\n    {body}\n}};\n"


def tables() -> str:
    """The whole header."""
    every = range(sys.maxunicode + 1)
    categories = _runs(CATEGORIES.index(unicodedata.category(chr(code))) for code in every)
    classes = _runs(unicodedata.combining(chr(code)) for code in every)
    split = {code: parts for code in every if (parts := _decomposition(code)) is not None}
    joined = sorted((*parts, code) for code, parts in split.items() if _composes(code, parts))
    return "\n".join(
        (
            f"// Unicode {unicodedata.unidata_version}, written by make_unicode_tables.py.",
            "#pragma once\n\n#include <cstdint>\n\n// clang-format off\nnamespace se::unicode {\n",
            _array(
                "kCategoryNames",
                "char",
                "Two letters for each bit of a set of categories.",
                [f"'{name[0]}', '{name[1]}'" for name in CATEGORIES],
            ),
            _array(
                "kCategories",
                "uint32_t",
                "Where a run begins, times 32, plus the category that it has.",
                [hex(first << 5 | kind) for first, kind in categories],
            ),
            _array(
                "kCombiningClasses",
                "uint32_t",
                "Where a run begins, times 256, plus its combining class.",
                [hex(first << 8 | kind) for first, kind in classes],
            ),
            _array(
                "kDecompositions",
                "uint32_t",
                "Triples: a code point, and the one (then 0) or two that it is canonically.",
                [f"{code:#x}, {a:#x}, {b:#x}" for code, (a, b) in sorted(split.items())],
            ),
            _array(
                "kCompositions",
                "uint32_t",
                "Triples: two code points, and the one that they become.",
                [f"{a:#x}, {b:#x}, {code:#x}" for a, b, code in joined],
            ),
            "}  // namespace se::unicode\n// clang-format on\n",
        )
    )


if __name__ == "__main__":
    TABLES.write_text(tables(), encoding="utf-8")
