"""Code for Apple's systems, made here: the platform that it is marked for, and the Metal in it.

Nothing of it is run: no Apple machine was at hand.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tvm import relax

from sphere_edge import packaging, profiles
from sphere_edge.compiler import kernels, pipeline
from sphere_edge.compiler.build import compile_module
from sphere_edge.compiler.target import GpuTarget
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.graph import Limits, trace
from sphere_edge.models.registry import family

_MAGIC, _ARM64, _OBJECT, _DYLIB = 0xFEEDFACF, 0x0100000C, 1, 6
_BUILD_VERSION, _SYMBOLS = 0x32, 0x2
_MACOS, _IOS = 1, 2
_PREFIX = "sphere_edge_tiny_"


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


@pytest.fixture(scope="module")
def traced() -> Any:
    """The built-in model's graph for a GPU of Apple's, by profile."""

    def graph(name: str) -> tuple[Any, GpuTarget]:
        target = GpuTarget.of(profiles.load(name))
        found = family(ModelConfig.read(packaging.find("tiny").path), 512)
        model = found.model(found.config, kernels.for_target(target), target.weight_format("q4"))
        return trace(model, Limits(512, 64, 32)).module, target

    return graph


def test_a_mac_gets_a_library_with_metal_kernels_inside(traced, tmp_path: Path) -> None:
    module, target = traced("mac-m2")
    compile_module(module, target, tmp_path / "model.so")
    code = (tmp_path / "model.so").read_bytes()
    made = mach_o(code)
    assert (made.processor, made.kind) == (_ARM64, _DYLIB)
    assert (made.platform, made.system) == (_MACOS, (13, 0))
    for kind in (b"take", b"rms_norm", b"linear_q4", b"gated_silu", b"attend"):
        assert b"kernel void " + kind in code, kind
    assert b"#include <metal_stdlib>" in code


def test_an_iphone_gets_objects_that_an_app_can_link(traced, tmp_path: Path) -> None:
    module, target = traced("iphone15-pro")
    module = module.with_attr("system_lib_prefix", _PREFIX)
    llvm = target.tvm_target()
    with llvm:
        module = pipeline.relax_passes(gpu=True)(module)
    executable = relax.build(
        module, target=llvm, relax_pipeline=None, tir_pipeline=pipeline.GPU_TIR_PIPELINE
    )
    found: dict[str, bytes] = {}

    def collect(_: str, objects: list[str], **__: Any) -> None:
        found.update((Path(name).name, Path(name).read_bytes()) for name in objects)

    executable.export_library(
        str(tmp_path / "model.o"), fcompile=collect, workspace_dir=str(tmp_path)
    )
    made = [mach_o(code) for code in found.values()]
    assert {(one.processor, one.kind) for one in made} == {(_ARM64, _OBJECT)}
    assert {(one.platform, one.system) for one in made} == {(_IOS, (15, 0))}
    symbols = frozenset().union(*(one.defined for one in made))
    # What TVM's loader of linked-in modules looks for, and the functions under the app's prefix.
    assert {f"_{_PREFIX}__tvm_ffi__library_{part}" for part in ("bin", "ctx")} <= symbols
    assert f"___tvm_ffi_{_PREFIX}attend_many" in symbols
    assert any(f"kernel void {_PREFIX}linear_q4".encode() in code for code in found.values())
