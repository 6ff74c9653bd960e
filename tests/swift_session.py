"""The adapter to Apple's FoundationModels, compiled against a stand-in and asked by a program.

`tests/foundation_models` has both: the declarations that the adapter uses, and the program, which
plays a session and prints what it got.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sphere_edge.run import run
from tests import groups

ADAPTER = groups.ROOT / "ios" / "Sources" / "SphereEdgeFoundationModels"
SESSION = groups.ROOT / "tests" / "foundation_models"
# Of a model that reasons where it is not told to leave that.
REASONING = SESSION / "reasoning.jinja"
_HEADER = groups.ROOT / "ios" / "Sources" / "CSphereEdge"
_TIMEOUT_S = 1200.0


def built(package: Path, library: Path, into: Path) -> Path:
    """The program; `package` is what SwiftPM built, `library` the folder of the native core."""
    swiftc = shutil.which("swiftc")
    assert swiftc is not None
    words = [swiftc, "-swift-version", "6", "-warnings-as-errors", "-I", into, "-I", _HEADER]
    words += ["-I", package / "Modules"]
    # Apple's is version 2 since iOS 27.
    modules = {
        "FoundationModels": ["-user-module-version", "2", *_sources(SESSION, but="main.swift")],
        "SphereEdgeFoundationModels": _sources(ADAPTER),
    }
    for name, sources in modules.items():
        flags = ["-parse-as-library", "-wmo", "-emit-module", "-module-name", name]
        paths = ["-emit-module-path", into / f"{name}.swiftmodule", "-o", into / f"{name}.o"]
        run([*words, *flags, "-c", *paths, *sources], timeout_s=_TIMEOUT_S)
    objects = [
        *(into / f"{name}.o" for name in modules),
        *(package / "SphereEdge.build").glob("*.o"),
    ]
    linked = [f"-L{library}", "-Xlinker", "-rpath", "-Xlinker", library]
    flags = ["-module-name", "Session", "-o", into / "session"]
    run([*words, *flags, SESSION / "main.swift", *objects, *linked], timeout_s=_TIMEOUT_S)
    return into / "session"


def _sources(folder: Path, but: str = "") -> list[Path]:
    return sorted(path for path in folder.glob("*.swift") if path.name != but)
