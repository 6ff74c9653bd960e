"""Linking compiled models: the result loads, failures are told."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.run import run
from sphere_edge.toolchain import compilers
from sphere_edge.toolchain.elf import library, objects
from sphere_edge.toolchain.link import link_shared

CODE = """
extern float expf(float x);
extern int getpid(void);
__attribute__((visibility("default"))) float f(float x) {
  if (x < 0) getpid();
  return expf(x);
}
"""
# What compiled models consist of: constants, tables of addresses, variables with and without a
# value, functions that are called within an object, across two of them, and outside.
FIRST = """
#include <stdint.h>
extern float expf(float x);
extern void *memset(void *to, int value, unsigned long bytes);
extern int twice(int x);
extern int hidden_count;
static const int kPrimes[4] = {2, 3, 5, 7};
static int bytes[9000];
int initial = 40;
__attribute__((weak)) int weak = 1;
static const int *const places[2] = {&kPrimes[3], bytes};
int prime(int i) { return kPrimes[i & 3]; }
float exponential(float x) { return expf(x); }
int clear(int i) { bytes[i] = 5; memset(bytes, 1, sizeof bytes); return bytes[i]; }
int add(int x) { initial += x; hidden_count += 1; return initial + hidden_count; }
int by_address(int i) { return *places[i & 1]; }
int call(int x) { return twice(x) + weak; }
int *address_of_initial(void) { return &initial; }
"""
SECOND = """
int weak = 100;
__attribute__((visibility("hidden"))) int hidden_count = 1000;
__attribute__((visibility("hidden"))) int hidden(int x) { return x; }
int twice(int x) { return 2 * hidden(x); }
"""


def object_file(path: Path, code: str, target: str = "native") -> Path:
    path.with_suffix(".c").write_text(code)
    flags = ["-target", target, "-O2", "-fPIC", "-ffreestanding", "-fno-sanitize=all", "-c"]
    run(
        [compilers.zig(), "cc", *flags, path.with_suffix(".c"), "-o", path],
        timeout_s=120,
        env=compilers.environment(),
    )
    return path


def triple_of(file: Path) -> str:
    return {62: "x86_64", 183: "aarch64"}[file.read_bytes()[18]] + "-unknown-linux-gnu"


def test_a_linked_library_runs_on_this_machine(tmp_path: Path) -> None:
    code = object_file(tmp_path / "code.o", CODE)
    link_shared([code], triple_of(code), tmp_path / "m.so")
    loaded = ctypes.CDLL(str(tmp_path / "m.so"))
    loaded.f.restype = ctypes.c_float
    assert loaded.f(ctypes.c_float(0.0)) == 1.0


def test_data_and_functions_of_two_objects_find_each_other(tmp_path: Path) -> None:
    objects = [object_file(tmp_path / "a.o", FIRST), object_file(tmp_path / "b.o", SECOND)]
    for order in (objects, objects[::-1]):
        out = tmp_path / f"{order[0].name}.so"
        link_shared(order, triple_of(objects[0]), out)
        loaded = ctypes.CDLL(str(out))
        loaded.exponential.restype = ctypes.c_float
        assert [loaded.prime(i) for i in range(4)] == [2, 3, 5, 7]
        assert loaded.exponential(ctypes.c_float(0.0)) == 1.0
        assert loaded.by_address(1) == 0
        assert loaded.clear(8999) == 0x01010101
        assert [loaded.by_address(0), loaded.by_address(1)] == [7, 0x01010101]
        assert loaded.add(2) == 42 + 1001
        # The definition that is not weak is taken.
        assert loaded.call(21) == 42 + 100
        with pytest.raises(AttributeError):
            _ = loaded.hidden


def test_two_models_in_one_process_share_nothing(tmp_path: Path) -> None:
    objects = [object_file(tmp_path / "a.o", FIRST), object_file(tmp_path / "b.o", SECOND)]
    libraries = []
    for name in ("first.so", "second.so"):
        link_shared(objects, triple_of(objects[0]), tmp_path / name)
        libraries.append(ctypes.CDLL(str(tmp_path / name), ctypes.RTLD_GLOBAL))
    assert libraries[0].add(100) == 140 + 1001
    assert libraries[1].add(1) == 41 + 1001


def test_a_triple_that_cannot_be_linked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedError, match="arm64-apple-ios15"):
        link_shared([], "arm64-apple-ios15.0", tmp_path / "m.so")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("_Thread_local int x; int g(void) { return x; }", "a section `.tbss` of the unknown"),
        (
            "volatile int x; __attribute__((constructor)) void g(void) { x = x + 1; }",
            "a section `.init_array` of the unknown",
        ),
        ("extern _Thread_local int x; int g(void) { return x; }", "a relocation of the unknown"),
        ("int f(void) { return 1; }\nint g(void) { return f(); }", "`f` is defined twice"),
    ],
)
def test_what_compiled_models_never_hold_is_refused(tmp_path: Path, code: str, why: str) -> None:
    objects = [object_file(tmp_path / "a.o", code)]
    objects.append(object_file(tmp_path / "b.o", "int f(void) { return 2; }"))
    with pytest.raises(errors.InternalError, match=f"cannot be linked for[^$]*{why}"):
        link_shared(objects, triple_of(objects[0]), tmp_path / "m.so")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".c", ".c", ".o", ".o"]


def test_damaged_objects_are_refused(tmp_path: Path) -> None:
    sound = object_file(tmp_path / "a.o", FIRST)
    (tmp_path / "bad.o").write_bytes(b"no object at all")
    (tmp_path / "cut.o").write_bytes(sound.read_bytes()[:-200])
    for name, why in (("bad.o", "not an ELF object file"), ("cut.o", "a damaged object file")):
        with pytest.raises(errors.InternalError, match=f"cannot be linked for[^$]*{why}"):
            link_shared([tmp_path / name], triple_of(sound), tmp_path / "m.so")
        assert not (tmp_path / "m.so").exists()


def test_objects_for_several_machines_are_refused(tmp_path: Path) -> None:
    objects = [
        object_file(tmp_path / f"{target}.o", "int x;", f"{target}-linux-musl")
        for target in ("x86_64", "aarch64")
    ]
    with pytest.raises(errors.InternalError, match="several"):
        link_shared(objects, "x86_64-unknown-linux-gnu", tmp_path / "m.so")


def test_an_empty_library_is_found_by_its_name(tmp_path: Path) -> None:
    machine = {"x86_64": objects.X86_64, "aarch64": objects.AARCH64}[platform.machine()]
    (tmp_path / "any.so").write_bytes(library.empty("libnothing-of-ours.so.3", machine))
    with pytest.raises(OSError, match="libnothing"):
        ctypes.CDLL("libnothing-of-ours.so.3")
    ctypes.CDLL(str(tmp_path / "any.so"))
    ctypes.CDLL("libnothing-of-ours.so.3")
