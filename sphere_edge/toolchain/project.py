"""Builds cmake projects for a target, once per content of everything that goes into them."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from sphere_edge import console, errors
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.toolchain import cache, compilers, prebuilt
from sphere_edge.toolchain.targets import Target

# Raised when the way of building changes, so that older builds are not taken for new ones.
_RECIPE = 3
_CONFIGURE_TIMEOUT_S = 600.0
_BUILD_TIMEOUT_S = 3600.0
_COUNTED = re.compile(r"\[(\d+)/(\d+)\] ")
_ERROR_LINE = re.compile(r"(\berror:|CMake Error|undefined symbol|^ninja: error)", re.IGNORECASE)
_ERROR_LINES_SHOWN = 6
# For each target; several checkouts and environments share the cache.
_BUILDS_KEPT = 8


@dataclass(frozen=True)
class Project:
    """A cmake project that leaves its results in `lib/` and `bin/` of its build folder.

    `definitions` and `folders` go to cmake. A folder's path does not matter to the result: what is
    in it is named by `pins`. `beside` are files to put into `lib/` as they are.
    """

    name: str
    folder: Path
    definitions: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, Path | str] = field(default_factory=dict)
    beside: tuple[Path, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    # The files that go in; None: all below `folder`, without the folders `leave_out` in it.
    files: tuple[Path, ...] | None = None
    leave_out: tuple[str, ...] = ()


def build_folder(project: Project, target: Target) -> Path:
    """Where the build of exactly these inputs lies, or will lie."""
    return cache.folder() / project.name / f"{target.name}-{key(project, target)}"


def key(project: Project, target: Target) -> str:
    """Changes whenever the result of the build would."""
    inputs = {
        "recipe": _RECIPE,
        "target": repr(target),
        "compilers": compilers.identity(target),
        "definitions": dict(project.definitions),
        "pins": dict(project.pins),
        "files": {
            os.path.relpath(path, project.folder): _digest(
                path, (path.stat().st_mtime_ns, path.stat().st_size)
            )
            for path in sorted(_input_files(project))
        },
    }
    text = json.dumps(inputs, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, version: tuple[int, int]) -> str:
    """The hash of a file's content; keys of several builds are made of the same files."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _input_files(project: Project) -> Iterable[Path]:
    if project.files is not None:
        return project.files
    return (
        path
        for path in project.folder.rglob("*")
        if path.is_file()
        and path.relative_to(project.folder).parts[0] not in project.leave_out
        # What pip makes when it installs a wheel.
        and "__pycache__" not in path.parts
    )


def build_project(
    project: Project, target: Target, progress: console.Progress = console.SILENT
) -> Path:
    """The folder with the project's `lib/` and `bin/`: from the cache, a wheel, or built now."""
    finished = build_folder(project, target)
    with cache.made_once(finished, on_wait=lambda: waiting(project, progress)) as folder:
        if folder is None:
            mark_used(finished)
            return finished
        if came := prebuilt.find(finished.name):
            prebuilt.copy(came, folder)
        else:
            with compiled(project, target, progress) as work:
                for part in ("lib", "bin"):
                    if (work / part).is_dir():
                        # Not renamed: one of the two may be a mount of its own.
                        shutil.move(work / part, folder / part)
        (folder / "lib").mkdir(exist_ok=True)
        for file in project.beside:
            # Wheels for other machines bring these along.
            if not (folder / "lib" / file.name).is_file():
                shutil.copy2(file, folder / "lib" / file.name)
    forget_old_builds(finished)
    return finished


def waiting(project: Project, progress: console.Progress) -> None:
    """Says that another process is at it."""
    progress.say(f"waiting for another process that builds {project.name}")


@contextmanager
def compiled(project: Project, target: Target, progress: console.Progress) -> Iterator[Path]:
    """The work folder of a build that has just been made; removed at the end.

    Raises InternalError with the compiler's output and the log's path when it does not compile.
    """
    name = f"{project.name}-{target.name}"
    with (
        cache.scratch(name, on_wait=lambda: waiting(project, progress)) as work,
        _log(project, target) as log,
    ):
        _compile(_Build(project, target, work), progress, log)
        yield work


def mark_used(build: Path) -> None:
    """Keeps a build from being forgotten before others."""
    # A cache that may only be read still serves.
    with suppress(OSError):
        os.utime(build)


def forget_old_builds(newest: Path) -> None:
    """Removes all but the last used builds for the same target; programs that use one go on."""
    name = newest.name.rpartition("-")[0]
    same = re.compile(re.escape(name) + "-[0-9a-f]{16}")
    builds = [path for path in newest.parent.iterdir() if same.fullmatch(path.name)]
    by_use = sorted(builds, key=lambda path: path.stat().st_mtime, reverse=True)
    for old in by_use[_BUILDS_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


class CountedProgress:
    """A progress step whose total is known when a program says its first `[n/m] `."""

    def __init__(self, progress: console.Progress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._open = ExitStack()
        self._step: console.Step | None = None
        self._done = 0

    def __enter__(self) -> CountedProgress:
        return self

    def __exit__(self, *failure: object) -> None:
        self._open.close()

    def on_line(self, line: str) -> None:
        """One line of the program."""
        if not (match := _COUNTED.match(line)):
            return
        done, total = int(match[1]), int(match[2])
        if self._step is None:
            self._step = self._open.enter_context(self._progress.step(self._title, total))
        self._step.advance(done - self._done)
        self._done = done


@contextmanager
def _log(project: Project, target: Target) -> Iterator[IO[str]]:
    path = cache.folder() / "logs" / f"{project.name}-{target.name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", buffering=1) as file:
        yield file


@dataclass(frozen=True)
class _Build:
    project: Project
    target: Target
    work: Path

    def configure(self) -> list[str | Path]:
        """The call of cmake that makes ninja's files."""
        return [
            *(compilers.cmake(), "-S", self.project.folder, "-B", self.work),
            *compilers.cmake_arguments(self.target, self.work),
            "-DCMAKE_BUILD_TYPE=Release",
            *(f"-D{name}={value}" for name, value in self.project.definitions.items()),
            *(f"-D{name}={path}" for name, path in self.project.folders.items()),
        ]


def _compile(build: _Build, progress: console.Progress, log: IO[str]) -> None:
    project, target = build.project, build.target
    environment = compilers.environment()
    output: list[str] = []

    def record(line: str) -> None:
        output.append(line)
        log.write(line + "\n")

    try:
        with progress.step(f"configuring {project.name}"):
            run(build.configure(), timeout_s=_CONFIGURE_TIMEOUT_S, env=environment, on_line=record)
        run_ninja: list[str | Path] = [compilers.cmake(), "--build", build.work]
        with CountedProgress(progress, f"compiling {project.name} for {target.name}") as steps:

            def on_line(line: str) -> None:
                record(line)
                steps.on_line(line)

            run(run_ninja, timeout_s=_BUILD_TIMEOUT_S, env=environment, on_line=on_line)
    except ProgramFailedError as error:
        raise _does_not_build(project, target, output, Path(log.name)) from error


def _does_not_build(
    project: Project, target: Target, output: list[str], log: Path
) -> errors.InternalError:
    blamed = [line.strip() for line in output if _ERROR_LINE.search(line)]
    shown = "\n".join(blamed[:_ERROR_LINES_SHOWN] or output[-_ERROR_LINES_SHOWN:])
    message = f"{project.name} does not build for `{target.name}`:\n{shown}"
    return errors.InternalError(message, hint=f"the whole log is `{log}`")
