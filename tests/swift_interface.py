"""The public names and declarations of the Swift package, one a line: ios/api."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path

from sphere_edge.run import run
from tests import groups

IOS = groups.ROOT / "ios"
RECORDS = IOS / "api"


def listed(modules: Sequence[Path], folder: Path, name: str = "SphereEdge") -> str:
    """What the module `name` declares as public; `folder` is for the compiler's output.

    `modules` are the folders where it and what it uses were built.

    A later version may add lines, and takes none away before it says so for one release.
    """
    graph = json.loads(symbols(modules, folder, name).read_text(encoding="utf-8"))
    lines = {f"{'.'.join(one['pathComponents'])}: {_declared(one)}" for one in graph["symbols"]}
    return "".join(f"{line}\n" for line in sorted(lines))


def recorded(name: str = "SphereEdge") -> str:
    """The list that the module had; a change that is meant is written to that file."""
    return (RECORDS / f"{name}.txt").read_text(encoding="utf-8")


def symbols(modules: Sequence[Path], folder: Path, name: str = "SphereEdge") -> Path:
    """The symbol graph of the module's public part, as the compiler writes it into `folder`."""
    header = IOS / "Sources" / "CSphereEdge" / "module.modulemap"
    where = ["-Xcc", f"-fmodule-map-file={header}", "-output-dir", folder]
    where += [word for path in modules for word in ("-I", path)]
    what = ["-minimum-access-level", "public", "-skip-synthesized-members"]
    target = f"{platform.machine()}-unknown-linux-gnu"
    run(
        ["swift-symbolgraph-extract", "-module-name", name, "-target", target] + [*what, *where],
        timeout_s=300,
    )
    return folder / f"{name}.symbols.json"


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
