"""`CSphereEdge.xcframework`: the native core, as the Swift package links it on Apple's systems.

`ios/build-xcframework.sh` calls `write` with one object of the whole core, which Xcode's linker has
made: what registers itself stays in it, and whoever calls one function gets all of it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from sphere_edge.errors import ModelCorruptError
from sphere_edge.sdk import mach_o, xcframework

NAME = "CSphereEdge"
_FUNCTION = re.compile(r"^SE_API\b[^;(]*?\b(se_\w+)\(", re.MULTILINE)
_HINT = "build the core again, on a Mac with Xcode"


def write(core: Path, header: Path, folder: Path) -> Path:
    """The XCFramework in `folder`, in place of the one before.

    Raises ModelCorruptError for a `core` that is not an object for iPhones with all functions of
    `header`, and NotFoundError where zig is not installed.
    """
    content, interface = core.read_bytes(), header.read_bytes()
    _check(content, core.name, _FUNCTION.findall(interface.decode("utf-8")))
    library = xcframework.archive({"core.o": content})
    files = xcframework.framework(NAME, library, {header.name: interface})
    made = folder / f"{NAME}.xcframework"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as work:
        for path, one in files.items():
            (Path(work) / path).parent.mkdir(parents=True, exist_ok=True)
            one.write(Path(work) / path)
        if made.exists():
            shutil.rmtree(made)
        (Path(work) / made.name).rename(made)
    return made


def _check(content: bytes, name: str, functions: list[str]) -> None:
    try:
        found = mach_o.read(content, name)
    except ModelCorruptError as error:
        raise ModelCorruptError(str(error), hint=_HINT) from error
    if found.platform != mach_o.IOS:
        message = f"`{name}` is for another system than iOS"
        raise ModelCorruptError(message, hint=_HINT)
    defined = set(found.symbols)
    missing = [function for function in functions if f"_{function}" not in defined]
    if missing:
        message = f"`{name}` lacks {len(missing)} functions of the core, among them `{missing[0]}`"
        raise ModelCorruptError(message, hint=_HINT)
