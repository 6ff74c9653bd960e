"""The public interface of the Kotlin library, read from its sources: python -m tests.kotlin_api.

In explicit API mode the compiler wants `public` in front of everything that is public, so a reader
of declarations finds all of it; what a data class holds is in its header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests import groups

SOURCES = groups.ROOT / "android" / "sphere-edge" / "src" / "main" / "kotlin"
DUMP = groups.ROOT / "android" / "sphere-edge" / "api" / "sphere-edge.api"
_PUBLIC = re.compile(r"^( *)((?:@\w+(?:\([^)]*\))? )*)public ", re.MULTILINE)
_ENTRIES = re.compile(r"public enum class \w+[^{]*\{(.*?)[;}]", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def dump() -> str:
    """Each file's public declarations, on a line each, indented as they are nested."""
    lines = ["// The public interface, made by python -m tests.kotlin_api"]
    for path in sorted(SOURCES.rglob("*.kt")):
        if found := list(_declarations(_COMMENT.sub("", path.read_text(encoding="utf-8")))):
            lines += ["", f"// {path.relative_to(SOURCES).as_posix()}", *found]
    return "\n".join(lines) + "\n"


def _declarations(source: str) -> Iterator[str]:
    end = 0
    for match in _PUBLIC.finditer(source):
        begin = match.end() - len("public ")
        # What a constructor holds is in its class's line.
        if begin < end:
            continue
        declaration = _until_body(source, begin)
        end = begin + len(declaration)
        if entries := _ENTRIES.match(source, begin):
            declaration += " { " + " ".join(entries[1].split()).strip(" ,") + " }"
        yield match[1] + re.sub(r"\s+", " ", declaration).replace("( ", "(").replace(", )", ")")


def _until_body(source: str, begin: int) -> str:
    """The declaration that begins there, up to its body, its value or the end of its line."""
    depth = 0
    for at in range(begin, len(source)):
        character = source[at]
        depth += (character in "(<[") - (character in ")]")
        # Not that of an arrow.
        depth -= character == ">" and source[at - 1] != "-"
        if depth == 0 and (character in "{\n" or source.startswith(" =", at)):
            return source[begin:at].strip()
    return source[begin:].strip()


if __name__ == "__main__":
    DUMP.parent.mkdir(exist_ok=True)
    Path(DUMP).write_text(dump(), encoding="utf-8")
