"""The public names and declarations of the Swift package, one a line: ios/api/SphereEdge.txt."""

from __future__ import annotations

import json
import platform
from pathlib import Path

from sphere_edge.run import run
from tests import groups

IOS = groups.ROOT / "ios"
RECORDED = IOS / "api" / "SphereEdge.txt"


def listed(modules: Path, folder: Path) -> str:
    """What the module built in `modules` declares as public; `folder` is for the compiler's output.

    A later version may add lines, and takes none away before it says so for one release.
    """
    graph = json.loads(symbols(modules, folder).read_text(encoding="utf-8"))
    lines = {f"{'.'.join(one['pathComponents'])}: {_declared(one)}" for one in graph["symbols"]}
    return "".join(f"{line}\n" for line in sorted(lines))


def symbols(modules: Path, folder: Path) -> Path:
    """The symbol graph of the module's public part, as the compiler writes it into `folder`."""
    header = IOS / "Sources" / "CSphereEdge" / "module.modulemap"
    where = ["-I", modules, "-Xcc", f"-fmodule-map-file={header}", "-output-dir", folder]
    what = ["-minimum-access-level", "public", "-skip-synthesized-members"]
    target = f"{platform.machine()}-unknown-linux-gnu"
    run(
        ["swift-symbolgraph-extract", "-module-name", "SphereEdge", "-target", target]
        + [*what, *where],
        timeout_s=300,
    )
    return folder / "SphereEdge.symbols.json"


def documented(graph: Path, catalogue: Path, into: Path) -> Path:
    """The documentation of `catalogue` and of the symbols in `graph`, as Xcode shows it.

    Raises ProgramFailedError for every warning, such as a link to a symbol that is not there.
    """
    named = ["--fallback-display-name", "SphereEdge"]
    named += ["--fallback-bundle-identifier", "dev.sphereedge.SphereEdge"]
    inputs = [catalogue, "--additional-symbol-graph-dir", graph.parent]
    run(
        ["docc", "convert", *inputs, *named, "--warnings-as-errors", "--output-dir", into],
        timeout_s=300,
    )
    return into


def _declared(symbol: dict[str, list[dict[str, str]]]) -> str:
    words = "".join(part["spelling"] for part in symbol["declarationFragments"])
    return " ".join(words.split())
