"""`ModelCode.xcframework`: the object files of a compiled model, as Xcode links them into an app.

An app may not load code that is not in it. So the objects become a static library. A linker takes
from one only what somebody refers to, and nobody calls a model by name: its objects register
themselves when the app starts. The function that the app calls, `sphere_edge_keep_model_code`,
refers to each of them.
"""

from __future__ import annotations

import plistlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sphere_edge.bundle import files
from sphere_edge.errors import ModelCorruptError
from sphere_edge.run import run
from sphere_edge.sdk import mach_o
from sphere_edge.sdk.app_bundle import AppBundle
from sphere_edge.sdk.project import Content, Plain
from sphere_edge.toolchain import compilers

NAME = "ModelCode"
_SLICE = "ios-arm64"
_TRIPLE = "aarch64-ios.15.0"
_TIMEOUT_S = 300.0
# What the compiler makes; anything else would get into the source below.
_SYMBOL = re.compile(r"_[A-Za-z0-9_]{1,300}")
_KEEPER = """\
// Keeps the compiled models in the app that calls it; made by `sphere-edge sdk ios`.
#pragma once
#ifdef __cplusplus
extern "C"
#endif
void sphere_edge_keep_model_code(void);
"""


def contents(bundles: Sequence[AppBundle], below: str) -> dict[str, Content]:
    """The XCFramework with the code of `bundles`, at `below`; nothing where none has any.

    Raises NotFoundError (no zig) and ModelCorruptError.
    """
    objects = {
        f"{re.sub('[^A-Za-z0-9]', '_', bundle.name)}_{file.path.replace('/', '_')}": _read(
            bundle, file.path, file.sha256
        )
        for bundle in bundles
        for file in bundle.code
    }
    if not objects:
        return {}
    headers = {f"{NAME}.h": _KEEPER.encode()}
    made = framework(NAME, _archive(objects), headers)
    return {f"{below}/{path}": content for path, content in made.items()}


def framework(name: str, library: bytes, headers: Mapping[str, bytes]) -> dict[str, Content]:
    """`NAME.xcframework` for iPhones: a static library and its `headers`, the first for all."""
    folder = f"{name}.xcframework/{_SLICE}"
    module = f'module {name} {{\n  header "{next(iter(headers))}"\n  export *\n}}\n'
    listed = {**headers, "module.modulemap": module.encode()}
    return {
        f"{name}.xcframework/Info.plist": Plain(_description(f"lib{name}.a")),
        f"{folder}/lib{name}.a": Plain(library),
        # In a folder of its own: Xcode puts the headers of all frameworks into one.
        **{f"{folder}/Headers/{name}/{path}": Plain(text) for path, text in listed.items()},
    }


def _read(bundle: AppBundle, path: str, sha256: str) -> bytes:
    with files.open_inside(bundle.folder, path) as opened:
        content = opened.read()
    if Plain(content).sha256 != sha256:
        message = f"`{path}` does not match its manifest"
        raise ModelCorruptError(message, hint="copy or package the bundle again")
    return content


def _description(name: str) -> bytes:
    library = {
        "BinaryPath": name,
        "HeadersPath": "Headers",
        "LibraryIdentifier": _SLICE,
        "LibraryPath": name,
        "SupportedArchitectures": ["arm64"],
        "SupportedPlatform": "ios",
    }
    return plistlib.dumps(
        {
            "AvailableLibraries": [library],
            "CFBundlePackageType": "XFWK",
            "XCFrameworkFormatVersion": "1.0",
        }
    )


def _archive(objects: Mapping[str, bytes]) -> bytes:
    """The static library with the objects and the function that keeps them."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "keep.c").write_text(_keeping(objects), encoding="ascii")
        compiled = ["-target", _TRIPLE, "-c", "keep.c", "-o", "keep.o", "-O1", "-g0"]
        _zig(folder, "cc", *compiled)
        content = (folder / "keep.o").read_bytes()
    return archive({"keep.o": content, **dict(sorted(objects.items()))})


def archive(objects: Mapping[str, bytes]) -> bytes:
    """A static library of objects for Apple's systems, by their names. NotFoundError: no zig."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        for name, content in objects.items():
            (folder / name).write_bytes(content)
        # No times and no owners: the same objects give the same library.
        _zig(folder, "ar", "--format=darwin", "rcsD", "library.a", *objects)
        return (folder / "library.a").read_bytes()


def _keeping(objects: Mapping[str, bytes]) -> str:
    """The source that refers to a symbol of each object."""
    kept = []
    for name, content in objects.items():
        found = mach_o.read(content, name)
        own = [symbol for symbol in found.symbols if "sphere_edge_" in symbol]
        if found.platform != mach_o.IOS or not own or not _SYMBOL.fullmatch(own[0]):
            message = f"the object file `{name}` is not that of a model for iOS"
            raise ModelCorruptError(message, hint="package the model again")
        kept.append(own[0])
    lines = [f'extern const char s{i}[] __asm__("{name}");' for i, name in enumerate(kept)]
    names = ", ".join(f"s{i}" for i in range(len(kept)))
    lines.append(f"__attribute__((used)) const void *const sphere_edge_kept[] = {{{names}}};")
    lines.append("void sphere_edge_keep_model_code(void) {}")
    return "\n".join(lines) + "\n"


def _zig(folder: Path, *words: str) -> None:
    run([compilers.zig(), *words], timeout_s=_TIMEOUT_S, cwd=folder, env=compilers.environment())
