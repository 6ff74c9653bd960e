"""Code for Apple's systems, made here: the platform that it is marked for, and the Metal in it.

Nothing of it is run: no Apple machine was at hand.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
from catalogue_bundles import Bundles

from sphere_edge.bundle.read import Bundle
from sphere_edge.engines.compiled_code import symbol_prefix
from sphere_edge.run import run
from sphere_edge.toolchain import compilers

_MAGIC, _ARM64, _OBJECT, _DYLIB = 0xFEEDFACF, 0x0100000C, 1, 6
_BUILD_VERSION, _SYMBOLS = 0x32, 0x2
_MACOS, _IOS = 1, 2


@dataclass(frozen=True)
class MachO:
    """What a Mach-O file is (mach-o/loader.h): processor, kind, platform, least system, symbols."""

    processor: int
    kind: int
    platform: int
    system: tuple[int, int]
    defined: frozenset[str]


def mach_o(code: bytes) -> MachO:
    magic, processor, _, kind, commands = struct.unpack_from("<IIIII", code)
    assert magic == _MAGIC
    place, platform, system, defined = 32, 0, (0, 0), set()
    for _ in range(commands):
        command, size = struct.unpack_from("<II", code, place)
        if command == _BUILD_VERSION:
            platform, version = struct.unpack_from("<II", code, place + 8)
            system = (version >> 16, version >> 8 & 0xFF)
        if command == _SYMBOLS:
            first, count, names, _ = struct.unpack_from("<IIII", code, place + 8)
            for symbol in range(first, first + 16 * count, 16):
                name, kind_of, section = struct.unpack_from("<IBB", code, symbol)
                if section and kind_of & 1:
                    end = code.index(b"\0", names + name)
                    defined.add(code[names + name : end].decode())
        place += size
    return MachO(processor, kind, platform, system, frozenset(defined))


def test_a_mac_gets_a_library_with_metal_kernels_inside(bundles: Bundles) -> None:
    bundle = bundles.of("mac-m2")
    code = (bundle.folder / "lib" / "model-metal.so").read_bytes()
    made = mach_o(code)
    assert (made.processor, made.kind) == (_ARM64, _DYLIB)
    assert (made.platform, made.system) == (_MACOS, (13, 0))
    for kind in (b"take", b"rms_norm", b"linear_q4", b"gated_silu", b"attend"):
        assert b"kernel void " + kind in code, kind
    assert b"#include <metal_stdlib>" in code


@pytest.fixture(scope="module")
def iphone(bundles: Bundles) -> Bundle:
    return bundles.of("iphone15-pro")


def prefix_of(bundle: Bundle, backend: str) -> str:
    return symbol_prefix(bundle.manifest.name, backend)


@pytest.mark.parametrize(("backend", "folder"), [("cpu", "lib"), ("metal", "lib/metal")])
def test_an_iphone_gets_objects_that_an_app_can_link(
    iphone: Bundle, backend: str, folder: str
) -> None:
    codes = [path.read_bytes() for path in sorted((iphone.folder / folder).glob("*.o"))]
    made = [mach_o(code) for code in codes]
    assert {(one.processor, one.kind) for one in made} == {(_ARM64, _OBJECT)}
    assert {(one.platform, one.system) for one in made} == {(_IOS, (15, 0))}
    symbols = frozenset().union(*(one.defined for one in made))
    prefix = prefix_of(iphone, backend)
    # What TVM's loader of linked-in modules looks for, and the functions under the app's prefix.
    assert {f"_{prefix}__tvm_ffi__library_{part}" for part in ("bin", "ctx")} <= symbols
    assert f"___tvm_ffi_{prefix}attend_many" in symbols
    metal = [code for code in codes if f"kernel void {prefix}linear_q4".encode() in code]
    assert len(metal) == (1 if backend == "metal" else 0)


def test_all_objects_of_an_iphone_go_into_one_static_library(
    iphone: Bundle, tmp_path: Path
) -> None:
    library, objects = tmp_path / "libtiny.a", sorted((iphone.folder / "lib").rglob("*.o"))
    assert len(objects) == 4
    # Two files of each name, as Xcode's libtool allows.
    run(
        [compilers.zig(), "ar", "qc", library, *objects], timeout_s=300, env=compilers.environment()
    )
    assert library.read_bytes().startswith(b"!<arch>\n")
    # What calls the models as the runtime does: their symbols are found, and none is there twice.
    names = [
        f"{prefix_of(iphone, backend)}__tvm_ffi__library_{part}"
        for backend in ("cpu", "metal")
        for part in ("bin", "ctx")
    ]
    caller = "".join(f"extern char {name}[];\n" for name in names)
    caller += f"char *symbols[] = {{{', '.join(names)}}};\n"
    (tmp_path / "app.c").write_text(caller)
    command = [compilers.zig(), "cc", "-target", "aarch64-ios", "-nostdlib"]
    app, linked_app = tmp_path / "app.o", tmp_path / "linked.o"
    for words in (["-c", tmp_path / "app.c", "-o", app], ["-r", app, library, "-o", linked_app]):
        run([*command, *words], timeout_s=300, env=compilers.environment())
    linked = mach_o(linked_app.read_bytes())
    assert {f"_{name}" for name in names} <= linked.defined
