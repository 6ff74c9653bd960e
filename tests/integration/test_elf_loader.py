"""The loader for programs that are one static file: what it loads, and what it refuses unharmed."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
import tvm_ffi

from sphere_edge import resources
from sphere_edge.errors import Status
from sphere_edge.profiles import host_probe
from sphere_edge.run import run
from sphere_edge.toolchain import compilers
from sphere_edge.toolchain.link import link_shared

CODE = """
extern float expf(float);
static float offset = 0.25f, sum[5000];
static float *const place = &offset;
__attribute__((visibility("default"))) float *shared = sum;
__attribute__((visibility("default"))) float f(float x) {
  shared[4999] += 1.0f;
  return expf(x) + *place + sum[4999] - 1.0f;
}
"""
MUTATIONS = 300


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with our loader in it."""
    out = tmp_path_factory.mktemp("loader") / "loader"
    native = resources.folder("native")
    sources = [
        Path(__file__).with_name("elf_loader_main.cpp"),
        native / "src/tvm/elf_loader.cpp",
    ]
    include = Path(tvm_ffi.__file__).parent / "include"
    includes = [
        "-I",
        native / "include",
        "-I",
        native / "src",
        "-isystem",
        include,
        "-isystem",
        include / "dlpack",
    ]
    words = [compilers.zig(), "c++", "-std=c++20", "-O1", "-g0", "-Wall", "-Wextra", "-Werror"]
    run([*words, *includes, *sources, "-o", out], timeout_s=600, env=compilers.environment())
    return out


def library(folder: Path, code: str, triple: str) -> Path:
    (folder / "code.c").write_text(code)
    flags = ["-O2", "-fPIC", "-ffreestanding", "-c", folder / "code.c", "-o", folder / "code.o"]
    run([compilers.zig(), "cc", *flags], timeout_s=120, env=compilers.environment())
    link_shared([folder / "code.o"], triple, folder / "model.so")
    return folder / "model.so"


@pytest.mark.parametrize("system", ["linux-gnu", "linux-android28"])
def test_code_data_and_imports_of_a_library_are_put_in_place(
    loader: Path, tmp_path: Path, system: str
) -> None:
    made = library(tmp_path, CODE, f"{host_probe.probe().triple.split('-')[0]}-{system}")
    assert run([loader, "f", made], timeout_s=300).stdout.split() == [f"{math.e + 0.25:.6f}", "1"]


def test_a_function_that_the_runtime_lacks_is_an_error(loader: Path, tmp_path: Path) -> None:
    triple = host_probe.probe().triple
    sound = library(tmp_path, CODE, triple)
    (tmp_path / "other").mkdir()
    code = "int getppid(void);\nint f(void) { return getppid(); }\n"
    other = library(tmp_path / "other", code, triple)
    said = run([loader, "f", sound, other], timeout_s=300).stdout.split()
    assert said[2:] == [str(int(Status.LOAD_FAILED))]


def test_no_damaged_library_brings_the_process_down(loader: Path, tmp_path: Path) -> None:
    sound = library(tmp_path, CODE, host_probe.probe().triple)
    content = sound.read_bytes()
    damaged = []
    for seed in range(MUTATIONS):
        chance = random.Random(seed)
        changed = bytearray(content)
        if seed % 3 == 0:
            changed = changed[: chance.randrange(len(content))]
        else:
            for _ in range(chance.choice([1, 1, 4, 16])):
                # Most in the headers and tables, which come first.
                limit = chance.choice([64, 1024, len(content)])
                changed[chance.randrange(min(limit, len(content)))] = chance.randrange(256)
        damaged.append(tmp_path / f"{seed}.so")
        damaged[-1].write_bytes(changed)
    said = run([loader, "f", sound, *damaged], timeout_s=120).stdout.split()[2:]
    assert len(said) == MUTATIONS
    assert str(int(Status.INTERNAL)) not in said
    assert said.count(str(int(Status.MODEL_CORRUPT))) > MUTATIONS // 4
