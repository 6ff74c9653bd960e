"""Builds the targets of the native core with zig, and with libFuzzer of a clang of the system."""

from __future__ import annotations

import platform
import shutil
from dataclasses import replace
from pathlib import Path

from sphere_edge import console, errors, resources
from sphere_edge.run import run
from sphere_edge.toolchain import native, targets
from sphere_edge.toolchain.project import build_project

FOLDER = Path(__file__).parent / "core"
_CLANGS = ("clang", *(f"clang-{version}" for version in range(30, 12, -1)))


def names() -> list[str]:
    """The targets; without `core-` the program calls them so, too."""
    files = sorted(FOLDER.glob("*.cpp"))
    return [f"core-{file.stem}" for file in files if file.stem != "outcome"]


def build(progress: console.Progress = console.SILENT) -> Path:
    """The program of all targets. NotFoundError: what is missing on this machine."""
    runtimes = {
        "SE_FUZZER": _libfuzzer(),
        "SE_SANITIZER_RUNTIME": _of_compiler(("gcc",), "libasan.so", "gcc"),
        "SE_FUZZER_STDLIB": _of_compiler(("gcc",), "libstdc++.so", "g++"),
    }
    host = targets.host()
    native.prepare(host, progress)
    core = native.core_project(host)
    folder = resources.folder("native")
    parts = (folder / part for part in ("src", "cmake", "include"))
    project = replace(
        core,
        name="native-fuzz",
        folder=FOLDER,
        folders={**dict(core.folders), "SE_NATIVE_DIR": folder, **runtimes},
        files=tuple(
            file for part in (FOLDER, *parts) for file in part.rglob("*") if file.is_file()
        ),
        beside=(),
        pins={**dict(core.pins), **{name: str(path) for name, path in runtimes.items()}},
    )
    return build_project(project, host, progress) / "bin" / "fuzz-core"


def _libfuzzer() -> Path:
    return _of_compiler(
        _CLANGS, f"libclang_rt.fuzzer-{platform.machine()}.a", "clang and libclang-rt-dev"
    )


def _of_compiler(compilers: tuple[str, ...], name: str, packages: str) -> Path:
    """The file `name` of the first of `compilers` that has it."""
    for compiler in compilers:
        if (program := shutil.which(compiler)) is None:
            continue
        path = Path(run([program, f"-print-file-name={name}"], timeout_s=300).stdout.strip())
        if path.is_absolute() and path.is_file():
            return path.resolve()
    message = f"fuzzing the native core needs `{name}`, which no compiler here has"
    raise errors.NotFoundError(message, hint=f"install {packages} (Debian: apt install)")
