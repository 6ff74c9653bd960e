"""Building a small cmake project with the real zig, cmake and ninja."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sphere_edge import console, errors
from sphere_edge.run import run
from sphere_edge.toolchain import cache, compilers, targets
from sphere_edge.toolchain.project import Project, build_folder, build_project

CMAKE = """
cmake_minimum_required(VERSION 3.24)
project(tiny C CXX)
# As the core: for programs with debug information zig makes a second C++ library.
add_link_options(-Wl,-s)
add_library(parts STATIC parts.cpp)
set_target_properties(parts PROPERTIES POSITION_INDEPENDENT_CODE ON)
add_library(tiny SHARED tiny.cpp)
target_link_libraries(tiny PRIVATE parts)
target_compile_definitions(tiny PRIVATE ADDED=${ADDED})
set_target_properties(tiny PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
add_executable(tiny-run main.c)
set_target_properties(tiny-run PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
"""
PARTS = "#include <string>\nint parts(int n) { return (int)std::string(n, 'x').size(); }\n"
TINY = 'int parts(int);\nextern "C" int tiny(int n) { return parts(n) + ADDED; }\n'
MAIN = '#include <stdio.h>\nint main(void) { puts("ran"); return 0; }\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    # zig's own cache stays the user's: it holds the C++ library, which takes long to compile.
    environment = compilers.environment() | {"ZIG_LOCAL_CACHE_DIR": str(tmp_path / "zig")}
    monkeypatch.setattr(compilers, "environment", lambda: environment)
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    # Nothing of the system is needed, no compiler above all.
    monkeypatch.setenv("PATH", "/nowhere")
    folder = tmp_path / "a project"
    folder.mkdir()
    for name, text in {
        "CMakeLists.txt": CMAKE,
        "parts.cpp": PARTS,
        "tiny.cpp": TINY,
        "main.c": MAIN,
    }.items():
        (folder / name).write_text(text)
    (tmp_path / "libbeside.so").write_text("beside")
    return Project(
        name="tiny", folder=folder, definitions={"ADDED": "2"}, beside=(tmp_path / "libbeside.so",)
    )


class Recorded:
    """A progress display that writes down what it was told."""

    def __init__(self) -> None:
        self.steps: dict[str, tuple[float | None, float]] = {}

    @contextmanager
    def step(
        self, title: str, total: float | None = None, unit: console.Unit = "items"
    ) -> Iterator[console.Step]:
        steps = self.steps
        steps[title] = (total, 0)

        class Step:
            def advance(self, amount: float = 1) -> None:
                steps[title] = (total, steps[title][1] + amount)

        yield Step()


def test_a_project_is_built_once_and_runs(project: Project) -> None:
    progress = Recorded()
    folder = build_project(project, targets.host(), progress)
    assert ctypes.CDLL(str(folder / "lib" / "libtiny.so")).tiny(40) == 42
    assert run([folder / "bin" / "tiny-run"], timeout_s=300).stdout == "ran\n"
    assert (folder / "lib" / "libbeside.so").read_text() == "beside"
    assert sorted(path.name for path in folder.iterdir()) == ["bin", "lib"]
    total, done = progress.steps["compiling tiny for host"]
    assert total == done
    assert total is not None
    assert total >= 5

    again = Recorded()
    assert build_project(project, targets.host(), again) == folder
    assert again.steps == {}


def test_it_is_built_again_when_an_input_changes(project: Project) -> None:
    def folder(changed: Project = project) -> Path:
        return build_folder(changed, targets.host())

    before = folder()
    assert folder() == before
    assert folder(replace(project, definitions={"ADDED": "3"})) != before
    assert folder(replace(project, pins={"engine": "2"})) != before
    assert build_folder(project, targets.NAMED["linux-x86-64-v3"]) != before
    (project.folder / "more.h").touch()
    with_more = folder()
    assert with_more != before
    (project.folder / "more.h").write_text("#define MORE")
    assert folder() not in (before, with_more)
    (project.folder / "more.h").unlink()
    assert folder() == before
    (project.folder / "tests").mkdir()
    (project.folder / "tests" / "test.c").touch()
    assert folder() != before
    assert folder(replace(project, leave_out=("tests",))) == before
    (project.folder / "tests" / "test.c").unlink()
    # Where the sources lie does not matter.
    moved = project.folder.rename(project.folder.parent / "elsewhere")
    assert folder(replace(project, folder=moved)) == before


def test_what_has_not_changed_is_not_compiled_again(project: Project, tmp_path: Path) -> None:
    def compiled(name: str) -> int:
        return len(list((tmp_path / "zig" / "o").rglob(name)))

    build_project(project, targets.host())
    (project.folder / "tiny.cpp").write_text(TINY + "int one_more;\n")
    build_project(project, targets.host())
    assert (compiled("tiny.o"), compiled("parts.o")) == (2, 1)


def test_only_the_last_used_builds_are_kept(project: Project) -> None:
    (project.folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.24)\nproject(none NONE)\n"
    )
    folder = build_folder(project, targets.host()).parent
    for number in range(9):
        old = folder / f"host-{number:016x}"
        old.mkdir(parents=True)
        os.utime(old, (number, number))
    (folder / "host-of-another-name").mkdir()
    made = build_project(project, targets.host())
    left = sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))
    assert left == sorted(
        [made.name, "host-of-another-name", *(f"host-{number:016x}" for number in range(2, 9))]
    )


def test_a_project_that_does_not_compile_shows_why_and_where_the_log_is(
    project: Project, tmp_path: Path
) -> None:
    (project.folder / "tiny.cpp").write_text("int tiny(int n) { return undeclared; }\n")
    with pytest.raises(errors.InternalError, match="does not build for `host`") as caught:
        build_project(project, targets.host())
    assert "use of undeclared identifier 'undeclared'" in caught.value.message
    log = tmp_path / "cache" / "logs" / "tiny-host.log"
    assert str(log) in str(caught.value.hint)
    assert "undeclared" in log.read_text()
    assert [path.name for path in (tmp_path / "cache" / "tiny").iterdir()] == [
        f".{build_folder(project, targets.host()).name}.lock"
    ]


def test_ctrl_c_leaves_no_half_build(project: Project, tmp_path: Path) -> None:
    class Interrupting(Recorded):
        @contextmanager
        def step(
            self, title: str, total: float | None = None, unit: console.Unit = "items"
        ) -> Iterator[console.Step]:
            if title.startswith("compiling"):
                threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
            with super().step(title, total, unit) as step:
                yield step

    (project.folder / "CMakeLists.txt").write_text(
        CMAKE + "add_custom_target(slow ALL COMMAND ${CMAKE_COMMAND} -E sleep 600)\n"
    )
    with pytest.raises(KeyboardInterrupt):
        build_project(project, targets.host(), Interrupting())
    assert all(path.suffix == ".lock" for path in (tmp_path / "cache" / "tiny").iterdir())


def test_a_project_is_built_for_another_architecture(project: Project) -> None:
    (project.folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.24)\nproject(one C)\n"
        "add_executable(one main.c)\n"
        "set_target_properties(one PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)\n"
    )
    folder = build_project(project, targets.NAMED["linux-arm64-dotprod"])
    # ELF's machine number of AArch64.
    assert (folder / "bin" / "one").read_bytes()[18] == 183


def test_android_needs_the_ndk_and_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    android = targets.NAMED["android-arm64-dotprod"]
    monkeypatch.delenv(compilers.NDK_VARIABLE, raising=False)
    with pytest.raises(errors.NotFoundError, match="NDK") as caught:
        build_project(project, android)
    assert compilers.NDK_VARIABLE in str(caught.value.hint)
    monkeypatch.setenv(compilers.NDK_VARIABLE, str(tmp_path))
    with pytest.raises(errors.NotFoundError, match="does not name an NDK"):
        build_project(project, android)
