"""Linking for other machines: the same bytes each time, and what their loaders ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("triple", "target"),
    [
        ("x86_64-unknown-linux-gnu", "x86_64-linux-gnu"),
        ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu"),
        ("aarch64-linux-android28", "aarch64-linux-musl"),
        ("arm64-apple-macosx13.0", "aarch64-macos"),
    ],
)
def test_the_same_objects_give_the_same_bytes_wherever_they_lie(
    tmp_path: Path, triple: str, target: str
) -> None:
    first = compiled(tmp_path / "first", target)
    second = tmp_path / "second-folder" / "other-name.o"
    second.parent.mkdir()
    second.write_bytes(first.read_bytes())
    link_shared([first], triple, tmp_path / "first.so")
    link_shared([second], triple, tmp_path / "second-folder" / "m.so")
    made = (tmp_path / "first.so").read_bytes()
    assert made == (tmp_path / "second-folder" / "m.so").read_bytes()
    assert str(tmp_path).encode() not in made
    assert not list(tmp_path.glob(".*"))


def test_android_libraries_name_the_system_libraries_and_have_16_kb_pages(tmp_path: Path) -> None:
    objects = [compiled(tmp_path, "aarch64-linux-musl")]
    link_shared(objects, "aarch64-linux-android28", tmp_path / "m.so")
    made = (tmp_path / "m.so").read_bytes()
    assert b"\0libc.so\0" in made
    assert b"\0libm.so\0" in made
    program_headers = int.from_bytes(made[32:40], "little")
    count = int.from_bytes(made[56:58], "little")
    headers = [made[program_headers + 56 * i :][:56] for i in range(count)]
    alignments = {int.from_bytes(h[48:56], "little") for h in headers if h[0] == 1}
    assert alignments == {16384}
