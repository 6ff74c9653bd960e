"""Screens of rendered apps, type-checked by real compilers against stubs of what they use."""

from __future__ import annotations

import shutil
from pathlib import Path

from sphere_edge.run import run
from tests import groups, kotlin_compiler, kotlin_library

STUBS = groups.ROOT / "tests" / "app_stubs"
SWIFTC = shutil.which("swiftc")
_SWIFT_MODULES = ("SwiftUI", "UniformTypeIdentifiers", "CoreGraphics", "AVFoundation")
_TIMEOUT_S = 1200.0


def kotlin_stubs(into: Path) -> list[Path]:
    """Folders of classes: Android's, Compose's and ours. Raises NotFoundError without Java."""
    ours, stubs = kotlin_library.built().classes, into / "kotlin"
    kotlin_compiler.kotlin().compile(sorted(STUBS.rglob("*.kt")), stubs, *map(str, ours))
    return [*ours, stubs]


def check_kotlin(project: Path, stubs: list[Path], into: Path) -> None:
    """Raises ProgramFailedError with the compiler's words; a warning is an error."""
    sources = sorted((project / "app" / "src" / "main" / "kotlin").rglob("*.kt"))
    kotlin_compiler.kotlin().compile(sources, into, *map(str, stubs))


def swift_modules(into: Path) -> Path:
    """The folder with our module and those that stand for Apple's."""
    into.mkdir(parents=True, exist_ok=True)
    ios = groups.ROOT / "ios" / "Sources"
    ours = sorted((ios / "SphereEdge").rglob("*.swift"))
    flags = ["-package-name", "sphereedge", "-I", ios / "CSphereEdge"]
    _module("SphereEdge", into, [*flags, *ours])
    for name in _SWIFT_MODULES:
        _module(name, into, [STUBS / "swift" / f"{name}.swift"])
    return into


def check_swift(project: Path, modules: Path) -> None:
    """Raises ProgramFailedError with the compiler's words; a warning is an error."""
    ours = groups.ROOT / "ios" / "Sources" / "CSphereEdge"
    code = project / "ModelCode" / "ModelCode.xcframework" / "ios-arm64" / "Headers" / "ModelCode"
    sources = sorted((project / "App").glob("*.swift"))
    flags = ["-typecheck", "-module-name", "App", "-warnings-as-errors", "-I", ours, "-I", code]
    _swift([*flags, "-I", modules, *sources])


def _module(name: str, into: Path, words: list[str | Path]) -> None:
    path = into / f"{name}.swiftmodule"
    emitted = ["-emit-module", "-module-name", name, "-emit-module-path", path]
    _swift([*emitted, "-I", into, *words])


def _swift(words: list[str | Path]) -> None:
    assert SWIFTC is not None
    run([SWIFTC, "-swift-version", "6", "-parse-as-library", *words], timeout_s=_TIMEOUT_S)
