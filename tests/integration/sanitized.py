"""Builds the native core's test programs under sanitizers, and runs them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from sphere_edge import console
from sphere_edge.run import Completed, run
from sphere_edge.toolchain import native, sources, targets
from sphere_edge.toolchain.project import build_project


def build() -> Path:
    """`bin/` of a build with the test programs; with AddressSanitizer where the system has it."""
    host = targets.host()
    project = native.core_project(host)
    runtime = sanitizer_runtime("libasan.so")
    sanitizers = {"SE_SANITIZE": "undefined"}
    if runtime is not None:
        sanitizers = {"SE_SANITIZE": "address,undefined", "SE_SANITIZER_RUNTIME": str(runtime)}
    tests = {"SE_TESTS": "ON", **sanitizers}
    native.prepare(host)
    whisper = replace(sources.SOURCES["whisper_cpp"], keep=("examples",), leave_out=())
    examples = sources.fetch_source(whisper, console.SILENT) / "examples"
    llama_tests = sources.fetch("llama_cpp_tests")
    tested = replace(
        project,
        name="native-tests",
        definitions={**dict(project.definitions), **tests},
        folders={
            **dict(project.folders),
            "SE_WHISPER_EXAMPLES_DIR": examples,
            "SE_LLAMA_TESTS_DIR": llama_tests,
        },
        pins={
            **dict(project.pins),
            "whisper examples": whisper.key,
            "llama tests": sources.SOURCES["llama_cpp_tests"].key,
        },
        leave_out=("engines",),
    )
    return build_project(tested, host) / "bin"


def sanitizer_runtime(name: str) -> Path | None:
    """A sanitizer's library of the system's gcc: zig instruments code for it, but brings none."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return None
    path = Path(run([gcc, f"-print-file-name={name}"], timeout_s=300).stdout.strip())
    return path if path.is_absolute() else None


def program(programs: Path, name: str, *words: str | Path, stdin: bytes = b"") -> Completed:
    """Runs one of the test programs; ProgramFailedError where it or a sanitizer finds a fault."""
    # TVM's runtime keeps the scratch memory of a thread that has ended: up to a few pages for each.
    known = Path(__file__).with_name("known_leaks.txt")
    environment = {"LSAN_OPTIONS": f"suppressions={known}"}
    return run([programs / name, *words], timeout_s=600, env=environment, stdin=stdin)
