"""Linking with the real zig: the result loads, failures are told."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.run import run
from sphere_edge.toolchain import compilers
from sphere_edge.toolchain.link import link_shared

CODE = """
extern float expf(float x);
extern int getpid(void);
__attribute__((visibility("default"))) float f(float x) {
  if (x < 0) getpid();
  return expf(x);
}
"""


def compiled(folder: Path, target: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "code.c").write_text(CODE)
    out = folder / "code.o"
    flags = ["-target", target, "-O2", "-fPIC", "-c"]
    run(
        [compilers.zig(), "cc", *flags, folder / "code.c", "-o", out],
        timeout_s=120,
        env=compilers.environment(),
    )
    return out


def test_a_linked_library_runs_on_this_machine(tmp_path: Path) -> None:
    code = compiled(tmp_path, "native").read_bytes()
    machine = {62: "x86_64", 183: "aarch64"}[code[18]]
    link_shared([tmp_path / "code.o"], f"{machine}-unknown-linux-gnu", tmp_path / "m.so")
    library = ctypes.CDLL(str(tmp_path / "m.so"))
    library.f.restype = ctypes.c_float
    assert library.f(ctypes.c_float(0.0)) == 1.0


def test_a_triple_that_cannot_be_linked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedError, match="arm64-apple-ios15"):
        link_shared([], "arm64-apple-ios15.0", tmp_path / "m.so")


def test_what_the_linker_says_reaches_the_user(tmp_path: Path) -> None:
    (tmp_path / "bad.o").write_bytes(b"no object at all")
    with pytest.raises(errors.InternalError, match=r"cannot be linked for[^$]*unknown directive"):
        link_shared([tmp_path / "bad.o"], "x86_64-unknown-linux-gnu", tmp_path / "m.so")
    assert not (tmp_path / "m.so").exists()
