"""What of the native core needs no engine, as objects for iPhones: compiled, never linked."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from sphere_edge import resources
from sphere_edge.run import run
from sphere_edge.toolchain import compilers, sources

pytestmark = pytest.mark.group("ios")

TARGET = "aarch64-ios.15.0"
SOURCES = resources.folder("native") / "src"
FILES = sorted(
    path
    for folder in ("base", "formats")
    for path in (SOURCES / folder).iterdir()
    if path.suffix in (".c", ".cpp")
)
# https://github.com/apple-oss-distributions/xnu, EXTERNAL_HEADERS/mach-o/loader.h
MAGIC_64, ARM64, BUILD_VERSION, IOS = 0xFEEDFACF, 0x0100000C, 0x32, 2


def platform(contents: bytes) -> tuple[int, int]:
    """CPU type, and the platform that a Mach-O object is for."""
    magic, cpu, _, _, commands, *_ = struct.unpack_from("<8I", contents)
    assert magic == MAGIC_64
    at = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<2I", contents, at)
        if command == BUILD_VERSION:
            return cpu, struct.unpack_from("<I", contents, at + 8)[0]
        at += size
    return cpu, 0


@pytest.mark.parametrize("source", FILES, ids=lambda path: path.relative_to(SOURCES).as_posix())
def test_a_file_compiles_for_iphones(source: Path, tmp_path: Path) -> None:
    compiler = compilers.zig()
    # zig has no headers of iOS; those that it has for macOS declare the same of C.
    system = compiler.parent / "lib" / "libc" / "include" / "any-darwin-any"
    llama = sources.fetch("llama_cpp")
    words = ["cc", "-std=c99"] if source.suffix == ".c" else ["c++", "-std=c++20"]
    theirs = [llama / one for one in ("vendor", "ggml/include", "include", "src")]
    theirs.append(sources.fetch("monocypher"))
    headers = [word for folder in theirs for word in ("-isystem", folder)]
    folders = [f"-I{SOURCES.parent / 'include'}", f"-I{SOURCES}", *headers]
    flags = ["-target", TARGET, "-isystem", system, "-O1", "-fno-sanitize=all"]
    out = tmp_path / "object.o"
    run(
        [compiler, *words, *flags, *folders, "-c", source, "-o", out],
        timeout_s=600,
        env=compilers.environment(),
    )
    assert platform(out.read_bytes()) == (ARM64, IOS)
