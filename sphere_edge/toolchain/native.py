"""Builds the native core for a target, once per content of everything that goes into it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from sphere_edge import console, errors, resources
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.toolchain import cache, compilers, ggml_gpu, sources, wheels
from sphere_edge.toolchain.targets import Target, host

# Raised when the way of building changes, so that older builds are not taken for new ones.
_RECIPE = 2
# What each manager of the core is made from.
_SOURCES = {"text": "llama_cpp", "audio": "whisper_cpp", "image": "stable_diffusion_cpp"}
ALL_MANAGERS = tuple(_SOURCES)
# What is built unless more is asked for. stable-diffusion.cpp takes as long to compile as all the
# rest, so it is added when the first image model is used; what is compiled already is not again.
MANAGERS = ("text", "audio")
_CONFIGURE_TIMEOUT_S = 600.0
_BUILD_TIMEOUT_S = 3600.0
_COUNTED = re.compile(r"\[(\d+)/(\d+)\] ")
_ERROR_LINE = re.compile(r"(\berror:|CMake Error|undefined symbol|^ninja: error)", re.IGNORECASE)
_ERROR_LINES_SHOWN = 6
# For each target; several checkouts and environments share the cache.
_BUILDS_KEPT = 8


@dataclass(frozen=True)
class NativeBuild:
    """A finished build: `lib/` holds the library and what it needs beside it, `bin/` the runner.

    `library` is None where the runner is one static file.
    """

    folder: Path
    library: Path | None
    runner: Path

    @property
    def quantizer(self) -> Path:
        """llama.cpp's quantizer as a program; only builds for this machine have it."""
        return self.folder / "bin" / "sphere-edge-quantize"


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
    # Folders below `folder` that are no input.
    leave_out: tuple[str, ...] = ()


def build(
    target: Target,
    progress: console.Progress = console.SILENT,
    managers: tuple[str, ...] = MANAGERS,
    gpu: str | None = None,
) -> NativeBuild:
    """The native core for `target`: from the cache, or compiled now (one to two minutes).

    `managers` are what it can do, `text` always among them; `gpu` is ggml's backend for GPUs that
    it has, which takes some minutes more. Raises InternalError with the compiler's words and the
    log's path when it does not compile, InvalidArgumentError, and what fetching sources, finding
    compilers and `ggml_gpu.parts` raise.
    """
    project = core_project(target, managers, gpu)
    if not build_folder(project, target).is_dir():
        for name in _sources(managers, gpu, target):
            sources.fetch(name, progress)
        if not (target.is_tvm_from_source or _installed_tvm_serves(target)):
            wheels.fetch_tvm_runtime(target.architecture, progress)
        if gpu is not None:
            ggml_gpu.parts(gpu, target).prepare(progress)
    folder = build_project(project, target, progress)
    return NativeBuild(
        folder=folder,
        library=None
        if target.is_static
        else folder / "lib" / f"libsphere_edge{target.library_suffix}",
        runner=folder / "bin" / "sphere-edge-run",
    )


def find(
    target: Target, managers: tuple[str, ...] = MANAGERS, gpu: str | None = None
) -> Path | None:
    """The folder of the native core for `target` if it is built already."""
    folder = build_folder(core_project(target, managers, gpu), target)
    return folder if folder.is_dir() else None


def build_for(
    task: str,
    target: Target,
    progress: console.Progress = console.SILENT,
    gpu: str | None = None,
) -> NativeBuild:
    """A native core that can do `task` ("text", "audio", "image"): the fullest that is there.

    `gpu`: with ggml's backend of that name, or with a warning without it where that cannot be
    built. Raises what `build` raises.
    """
    if gpu is not None:
        try:
            if target.name == "host":
                ggml_gpu.require_device(gpu)
            return build(target, progress, MANAGERS, gpu)
        except (errors.NotFoundError, errors.UnsupportedError, errors.InternalError) as error:
            why = f"{error.message} ({error.hint})" if error.hint else error.message
            console.warn(f"the runtime is built without `{gpu}`: {why}")
    whole = task not in MANAGERS or find(target, ALL_MANAGERS) is not None
    return build(target, progress, ALL_MANAGERS if whole else MANAGERS)


def core_project(
    target: Target, managers: tuple[str, ...] = MANAGERS, gpu: str | None = None
) -> Project:
    """`native/` with the sources (where `fetch` puts them) and libraries it is built against."""
    used = {name: sources.SOURCES[name] for name in _sources(managers, gpu, target)}
    more = ggml_gpu.parts(gpu, target) if gpu is not None else ggml_gpu.Parts({})
    libraries = () if target.is_tvm_from_source else tvm_libraries(target)
    names = ("SE_TVM_FFI_LIBRARY", "SE_TVM_RUNTIME_LIBRARY")
    switches = {
        "SE_TVM_FROM_SOURCE": target.is_tvm_from_source,
        "SE_STATIC": target.is_static,
        "SE_TOOLS": target.name == "host",
    }
    return Project(
        name="native",
        folder=resources.folder("native"),
        definitions={
            **{name: "ON" for name, is_on in switches.items() if is_on},
            **more.definitions,
        },
        folders={
            **{f"SE_{name.upper()}_DIR": sources.folder(source) for name, source in used.items()},
            "SE_TVM_DIR": _wheel_folder("tvm"),
            "SE_TVM_FFI_DIR": _wheel_folder("tvm_ffi"),
            **dict(zip(names, libraries, strict=False)),
            **more.folders,
        },
        beside=libraries,
        pins={
            **{name: source.key for name, source in used.items()},
            "apache-tvm": importlib.metadata.version("apache-tvm"),
            "apache-tvm-ffi": importlib.metadata.version("apache-tvm-ffi"),
            **more.pins,
        },
        leave_out=("tests",),
    )


def _sources(managers: tuple[str, ...], gpu: str | None, target: Target) -> tuple[str, ...]:
    for manager in managers:
        if manager not in _SOURCES:
            message = f"no such manager: `{manager}`"
            hint = f"choose from: {', '.join(_SOURCES)}"
            raise errors.InvalidArgumentError(message, hint=hint)
    used = [_SOURCES[manager] for manager in _SOURCES if manager in ("text", *managers)]
    return (*used, *(ggml_gpu.parts(gpu, target).sources if gpu is not None else ()))


def tvm_libraries(target: Target) -> tuple[Path, ...]:
    """TVM's runtime for `target`, in loading order. Raises UnsupportedError.

    From the installed wheels, or where fetched ones lie or will lie; each serves every CPU level of
    its system and architecture (manylinux: glibc 2.27).
    """
    if _installed_tvm_serves(target):
        suffix = target.library_suffix
        return (
            _wheel_folder("tvm_ffi") / "lib" / f"libtvm_ffi{suffix}",
            _wheel_folder("tvm") / "lib" / f"libtvm_runtime{suffix}",
        )
    if target.libc != "gnu":
        message = f"TVM has no libraries for `{target.name}`"
        raise errors.UnsupportedError(message)
    return wheels.tvm_runtime(target.architecture)


def _installed_tvm_serves(target: Target) -> bool:
    here = (host().system, platform.machine(), "gnu")
    return target.name == "host" or here == (target.system, target.architecture, target.libc)


def _wheel_folder(package: str) -> Path:
    # Found, not imported: importing tvm takes seconds and loads 260 MB.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        message = f"the Python package `{package}` is not installed"
        raise errors.NotFoundError(message, hint="install sphere-edge again")
    return Path(spec.submodule_search_locations[0])


def build_folder(project: Project, target: Target) -> Path:
    """Where the build of exactly these inputs lies, or will lie."""
    return cache.folder() / project.name / f"{target.name}-{_key(project, target)}"


def _key(project: Project, target: Target) -> str:
    inputs = {
        "recipe": _RECIPE,
        "target": repr(target),
        "compilers": compilers.identity(target),
        "definitions": dict(project.definitions),
        "pins": dict(project.pins),
        "files": {
            path.relative_to(project.folder).as_posix(): _sha256(path)
            for path in sorted(project.folder.rglob("*"))
            if path.is_file() and path.relative_to(project.folder).parts[0] not in project.leave_out
        },
    }
    text = json.dumps(inputs, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build_project(
    project: Project, target: Target, progress: console.Progress = console.SILENT
) -> Path:
    """The folder with the project's `lib/` and `bin/`, built if it is not in the cache yet."""
    finished = build_folder(project, target)
    waits = f"waiting for another process that builds {project.name}"

    def on_wait() -> None:
        console.say(waits)

    with cache.made_once(finished, on_wait=on_wait) as folder:
        if folder is None:
            _mark_used(finished)
            return finished
        with (
            cache.scratch(f"{project.name}-{target.name}", on_wait=on_wait) as work,
            _log(project, target) as log,
        ):
            _compile(project, target, work, progress, log)
            for part in ("lib", "bin"):
                if (work / part).is_dir():
                    # Not renamed: one of the two may be a mount of its own.
                    shutil.move(work / part, folder / part)
        (folder / "lib").mkdir(exist_ok=True)
        for file in project.beside:
            shutil.copy2(file, folder / "lib" / file.name)
    _forget_old_builds(finished)
    return finished


def _mark_used(build: Path) -> None:
    # A cache that may only be read still serves.
    with suppress(OSError):
        os.utime(build)


def _forget_old_builds(newest: Path) -> None:
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

    def hear(self, line: str) -> None:
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


def _compile(
    project: Project, target: Target, work: Path, progress: console.Progress, log: IO[str]
) -> None:
    environment = compilers.environment()
    configure: list[str | Path] = [
        *(compilers.cmake(), "-S", project.folder, "-B", work),
        *compilers.cmake_arguments(target, work),
        "-DCMAKE_BUILD_TYPE=Release",
        *(f"-D{name}={value}" for name, value in project.definitions.items()),
        *(f"-D{name}={path}" for name, path in project.folders.items()),
    ]
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        log.write(line + "\n")

    try:
        with progress.step(f"configuring {project.name}"):
            run(configure, timeout_s=_CONFIGURE_TIMEOUT_S, env=environment, on_line=hear)
        run_ninja: list[str | Path] = [compilers.cmake(), "--build", work]
        with CountedProgress(progress, f"compiling {project.name} for {target.name}") as steps:

            def hear_ninja(line: str) -> None:
                hear(line)
                steps.hear(line)

            run(run_ninja, timeout_s=_BUILD_TIMEOUT_S, env=environment, on_line=hear_ninja)
    except ProgramFailedError as error:
        raise _does_not_build(project, target, said, Path(log.name)) from error


def _does_not_build(
    project: Project, target: Target, said: list[str], log: Path
) -> errors.InternalError:
    blamed = [line.strip() for line in said if _ERROR_LINE.search(line)]
    shown = "\n".join(blamed[:_ERROR_LINES_SHOWN] or said[-_ERROR_LINES_SHOWN:])
    message = f"{project.name} does not build for `{target.name}`:\n{shown}"
    return errors.InternalError(message, hint=f"the whole log is `{log}`")
