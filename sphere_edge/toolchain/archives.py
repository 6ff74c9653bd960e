"""The third-party engines as static archives: compiled once per target, linked by every build."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import console, resources
from sphere_edge.toolchain import cache, project, sources
from sphere_edge.toolchain.project import Project
from sphere_edge.toolchain.targets import Target

_INCLUDE = re.compile(r'^\s*#\s*include "([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """Some of the archives of native/engines/CMakeLists.txt, in one folder of the cache.

    `sources` are names of SOURCES; `own`, files of ours below native/src that are compiled along.
    """

    sources: tuple[str, ...]
    own: tuple[str, ...] = ()


PARTS = {
    "vocab": Part(
        ("llama_cpp",),
        own=("engines/common_strings.cpp", "engines/jinja_steps.h", "engines/split_names.cpp"),
    ),
    "ggml": Part(("llama_cpp",), own=("engines/ggml_cpu.*", "engines/ggml_rows.*")),
    "llama": Part(("llama_cpp",)),
    "chat": Part(("llama_cpp",), own=("engines/chat_support.cpp",)),
    "vision": Part(("llama_cpp", "llama_cpp_vision"), own=("engines/vision_*",)),
    "whisper": Part(("llama_cpp", "whisper_cpp"), own=("engines/whisper_*",)),
    "diffusion": Part(
        ("llama_cpp", "stable_diffusion_cpp"), own=("base/sha256.*", "engines/diffus*")
    ),
    "metal": Part(("llama_cpp",)),
    # The C++ library, where the compiler brings its sources.
    "libcxx": Part(("llama_cpp",)),
}


def build(
    parts: Collection[str], target: Target, progress: console.Progress = console.SILENT
) -> None:
    """Makes the archives of `parts` of PARTS that are not in the cache yet, all in one build.

    Raises what fetching sources and `project.compiled` raise.
    """
    whole = _project(parts, target)
    with ExitStack() as stack:
        missing = {}
        # Always in the same order, or two processes could wait for each other.
        for part in sorted(parts):
            made = cache.made_once(
                folder(part, target), on_wait=lambda: project.waiting(whole, progress)
            )
            staging = stack.enter_context(made)
            if staging is None:
                project.mark_used(folder(part, target))
            else:
                missing[part] = staging
        if missing:
            _make(missing, target, progress)
    for part in missing:
        project.forget_old_builds(folder(part, target))


def folder(part: str, target: Target) -> Path:
    """Where the archives of a part lie, or will lie."""
    key = project.key(_project((part,), target), target)
    return cache.folder() / "engines" / f"{part}-{target.name}-{key}"


def _make(into: dict[str, Path], target: Target, progress: console.Progress) -> None:
    for name in sources_of(into):
        sources.fetch(name, progress)
    with project.compiled(_project(into, target), target, progress) as work:
        for part, made in into.items():
            for archive in (work / "lib" / part).iterdir():
                shutil.move(archive, made / archive.name)


def inputs(part: str) -> tuple[Path, ...]:
    """The files of ours that the archives of a part are made from."""
    native = resources.folder("native")
    own = [path for one in PARTS[part].own for path in native.glob(f"src/{one}")]
    return (
        native / "engines" / "CMakeLists.txt",
        *(native / "cmake" / "batch.cmake", native / "cmake" / "compiling.cmake"),
        *_with_includes(own, native),
    )


def _project(parts: Collection[str], target: Target) -> Project:
    used = {name: sources.SOURCES[name] for name in sources_of(parts)}
    return Project(
        name="engines",
        folder=resources.folder("native") / "engines",
        definitions={"SE_PARTS": ";".join(parts)},
        folders={
            "SE_BATCHES_DIR": cache.folder() / "batches",
            **{f"SE_{name.upper()}_DIR": sources.folder(source) for name, source in used.items()},
        },
        pins={name: source.key for name, source in used.items()},
        files=tuple(dict.fromkeys(path for part in parts for path in inputs(part))),
    )


def sources_of(parts: Collection[str]) -> tuple[str, ...]:
    """Which of `sources.SOURCES` these parts are compiled from."""
    return tuple(dict.fromkeys(name for part in parts for name in PARTS[part].sources))


def _with_includes(files: Collection[Path], native: Path) -> Iterator[Path]:
    """These files and what they include of ours, each once."""
    left, seen = list(files), set(files)
    while left:
        path = left.pop()
        yield path
        for name in _INCLUDE.findall(path.read_text(encoding="utf-8")):
            for place in (native / "src" / name, native / "include" / name):
                if place.is_file() and place not in seen:
                    seen.add(place)
                    left.append(place)
