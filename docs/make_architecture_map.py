"""Draws docs/images/architecture.svg from the code: `python docs/make_architecture_map.py`.

The boxes are the packages of sphere_edge/ and the folders of native/src, each with the first line
of its own documentation. An arrow means "imports" (Python) or "includes" (C++); arrows that follow
from others are left out. Each box is below everything that uses it.
"""

from __future__ import annotations

import ast
import re
import statistics
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "images" / "architecture.svg"
PACKAGE = "sphere_edge"
SOURCES = ROOT / "native" / "src"

Uses = Mapping[str, frozenset[str]]

_WIDTH, _HEIGHT = 214, 78
_GAP_X, _GAP_Y = 16, 34
_MARGIN, _TITLE = 20, 34
_COLUMNS = 33
_LINES = 3
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Box:
    """A package or folder at its place in the picture, in pixels."""

    name: str
    summary: str
    x: int
    y: int


def python_uses() -> Uses:
    """Which package or module directly in sphere_edge/ imports which others."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    uses: dict[str, set[str]] = {_child(name): set() for name in graph.modules if "." in name}
    for module in graph.modules - {PACKAGE}:
        for imported in graph.find_modules_directly_imported_by(module) - {PACKAGE}:
            if _child(imported) != _child(module):
                uses[_child(module)].add(_child(imported))
    return {name: frozenset(used) for name, used in uses.items()}


def native_uses() -> Uses:
    """Which folder of native/src includes files of which others."""
    folders = sorted(path.name for path in SOURCES.iterdir() if path.is_dir())
    uses: dict[str, set[str]] = {name: set() for name in folders}
    for name in folders:
        for path in sorted((SOURCES / name).rglob("*.*")):
            for included in _INCLUDE.findall(path.read_text("utf-8")):
                target = included.partition("/")[0]
                if target in uses and target != name and not (path.parent / included).exists():
                    uses[name].add(target)
    return {name: frozenset(used) for name, used in uses.items()}


def without_shortcuts(uses: Uses) -> Uses:
    """The same order with the fewest arrows (transitive reduction). ValueError for a circle."""
    reach = {name: _reachable(uses, name) for name in uses}
    circle = sorted(name for name, reached in reach.items() if name in reached)
    if circle:
        message = f"these use each other in a circle: {', '.join(circle)}"
        raise ValueError(message)
    return {
        name: frozenset(one for one in used if not any(one in reach[other] for other in used))
        for name, used in uses.items()
    }


def svg() -> str:
    """The whole picture."""
    python, native = without_shortcuts(python_uses()), without_shortcuts(native_uses())
    left = _placed(python, _python_summary, _MARGIN)
    middle = max(box.x for box in left.values()) + _WIDTH + 3 * _GAP_X
    right = _placed(native, _native_summary, middle)
    shapes = [
        *_arrows(left, python),
        *_arrows(right, native),
        *_bridge(left["runtime"], right["api"]),
        *(_drawn(box, f"{box.name}", "python") for box in left.values()),
        *(_drawn(box, f"{box.name}/", "native") for box in right.values()),
    ]
    every = [*left.values(), *right.values()]
    width = max(box.x for box in every) + _WIDTH + _MARGIN
    height = max(box.y for box in every) + _HEIGHT + _MARGIN
    titles = [
        f'<text class="title" x="{_MARGIN}" y="24">{PACKAGE}/ (Python)</text>',
        f'<text class="title" x="{middle}" y="24">native/src/ (C++)</text>',
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="Packages of sphere-edge">'
    )
    return "\n".join([head, _STYLE, *titles, *shapes, "</svg>", ""])


_STYLE = """\
<style>
text { font: 11px sans-serif; fill: #24292f; }
.title { font: bold 16px sans-serif; }
.name { font: bold 13px sans-serif; }
rect { stroke: #57606a; rx: 6px; }
.page { fill: #ffffff; stroke: none; }
.python { fill: #ddf4ff; }
.native { fill: #fff8c5; }
path { fill: none; stroke: #8c959f; stroke-width: 1.2; }
.arrow { marker-end: url(#tip); }
.bridge { stroke: #24292f; stroke-dasharray: 5 4; }
</style>
<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<polygon points="0,0 8,4 0,8" fill="#8c959f"/>
</marker>
<rect class="page" width="100%" height="100%"/>"""


def _child(module: str) -> str:
    return module.split(".")[1]


def _reachable(uses: Uses, start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(uses[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(uses[name])
    return found


def _rows(uses: Uses) -> list[list[str]]:
    """Names from top to bottom: each directly above the highest of what it uses."""
    heights: dict[str, int] = {}

    def height(name: str) -> int:
        if name not in heights:
            heights[name] = max((height(used) + 1 for used in uses[name]), default=0)
        return heights[name]

    top = max(height(name) for name in uses)
    return [sorted(n for n in uses if heights[n] == row) for row in range(top, -1, -1)]


def _placed(uses: Uses, summary_of: Callable[[str], str], left: int) -> dict[str, Box]:
    rows = _rows(uses)
    widest = max(len(row) for row in rows)
    boxes: dict[str, Box] = {}

    def middle_of_users(name: str) -> float:
        return statistics.fmean([boxes[user].x for user in boxes if name in uses[user]] or [left])

    for number, row in enumerate(rows):
        start = left + (widest - len(row)) * (_WIDTH + _GAP_X) // 2
        y = _TITLE + number * (_HEIGHT + _GAP_Y)
        for column, name in enumerate(sorted(row, key=middle_of_users)):
            x = start + column * (_WIDTH + _GAP_X)
            boxes[name] = Box(name, summary_of(name), x, y)
    return boxes


def _python_summary(name: str) -> str:
    path = ROOT / PACKAGE / name
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return _first_sentence(ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "")


def _native_summary(name: str) -> str:
    """What the table in native/src/README.md says of the folder."""
    readme = (SOURCES / "README.md").read_text("utf-8")
    row = re.search(rf"^\| `{name}/` \| ([^|]+) \|", readme, re.MULTILINE)
    return _first_sentence(row[1]) if row else ""


def _first_sentence(text: str) -> str:
    return text.partition("\n")[0].replace("`", "").rstrip(".")


def _arrows(boxes: Mapping[str, Box], uses: Uses) -> Iterable[str]:
    for name in sorted(uses):
        for used in sorted(uses[name]):
            above, below = boxes[name], boxes[used]
            x1, y1 = above.x + _WIDTH // 2, above.y + _HEIGHT
            x2, y2 = below.x + _WIDTH // 2, below.y
            curve = f"M{x1} {y1}C{x1} {y1 + _GAP_Y} {x2} {y2 - _GAP_Y} {x2} {y2}"
            yield f'<path class="arrow" d="{curve}"/>'


def _bridge(runtime: Box, api: Box) -> Iterable[str]:
    """Python calls the C interface, and only there."""
    x1, y1 = runtime.x + _WIDTH, runtime.y + _HEIGHT // 2
    x2, y2 = api.x, api.y + _HEIGHT // 2
    middle = x2 - 2 * _GAP_X
    yield f'<path class="bridge" d="M{x1} {y1}L{middle} {y1}L{middle} {y2}L{x2} {y2}"/>'


def _drawn(box: Box, title: str, kind: str) -> str:
    lines = textwrap.wrap(
        box.summary, _COLUMNS, max_lines=_LINES, placeholder=" …", break_on_hyphens=False
    )
    texts = [f'<text class="name" x="{box.x + 8}" y="{box.y + 19}">{escape(title)}</text>']
    for number, line in enumerate(lines):
        texts.append(f'<text x="{box.x + 8}" y="{box.y + 36 + 14 * number}">{escape(line)}</text>')
    shape = f'<rect class="{kind}" x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{_HEIGHT}"/>'
    return "\n".join([shape, *texts])


if __name__ == "__main__":
    OUT.write_text(svg(), encoding="utf-8")
