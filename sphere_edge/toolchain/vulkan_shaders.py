"""ggml's Vulkan shaders: compiled once per version of them and of glslc, for whatever target.

ggml's own generator starts glslc for each of its 1,100 shaders, which costs more than the shaders
do, and writes them as C++ text. Here it only says what it would start; glslc then gets many shaders
at once, and the assembler embeds what it makes. The SPIR-V is the same, byte for byte.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import console, errors
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.toolchain import cache, compilers, sources

# Raised when what is made of the same shaders changes.
_RECIPE = 1
_SOURCE = "ggml_vulkan"
# Extensions of GLSL that a glslc may know; shaders that need others are left out.
_FEATURES = {
    "coopmat": "COOPMAT",
    "coopmat2": "COOPMAT2",
    "coopmat2_decode_vector": "COOPMAT2_DECODE_VECTOR",
    "integer_dot": "INTEGER_DOT",
    "bfloat16": "BFLOAT16",
    "float_e2m1": "FLOAT_E2M1",
    "float_e4m3": "FLOAT_E4M3",
}
# Enough that glslc's start does not count, few enough that all cores have work until the end.
_SHADERS_PER_CALL = 24
_TIMEOUT_S = 900.0
# Takes glslc's place: writes its words beside the file that was asked for, which it leaves empty.
_RECORDER = """#!/bin/sh
for word; do
  [ "$last" = -o ] && into=$word
  last=$word
done
printf '%s\\n' "$@" > "$into.words"
: > "$into"
"""


@dataclass(frozen=True)
class Shader:
    """One SPIR-V file to make: glslc's options, the GLSL it is made from, and its macros."""

    name: str
    options: tuple[str, ...]
    source: Path
    macros: tuple[str, ...]

    def text(self) -> str:
        """The GLSL with its macros inside, so that one call of glslc serves many shaders."""
        version, _, rest = self.source.read_text("utf-8").partition("\n")
        # GLSL wants the version before everything else.
        lines = (f"#define {macro.replace('=', ' ', 1)}" for macro in self.macros)
        return "\n".join([version, *lines, rest])


def version(glslc: Path) -> str:
    """What `glslc` says it is."""
    return run([glslc, "--version"], timeout_s=60).stdout.strip()


def folder(glslc_version: str) -> Path:
    """Where the shaders that this glslc makes lie, or will lie.

    `features` names macros, one a line, that ggml's sources need; `shaders.c` and `tables.cpp` are
    to be compiled with this folder among the included ones, as is `ggml-vulkan-shaders.hpp`.
    """
    inputs = repr((_RECIPE, sources.SOURCES[_SOURCE].key, glslc_version))
    name = f"vulkan-{hashlib.sha256(inputs.encode()).hexdigest()[:16]}"
    return cache.folder() / "shaders" / name


def make(glslc: Path, progress: console.Progress = console.SILENT) -> Path:
    """`folder`, filled; half a minute of two cores' time. Raises InternalError with glslc's words.

    The sources must be there (`sources.fetch`).
    """
    target = folder(version(glslc))
    glsl = sources.folder(sources.SOURCES[_SOURCE]) / "ggml/src/ggml-vulkan/vulkan-shaders"
    waits = "waiting for another process that compiles shaders"
    with cache.made_once(target, on_wait=lambda: progress.say(waits)) as made:
        if made is not None:
            try:
                _fill(made, glslc, glsl, progress)
            except ProgramFailedError as error:
                message = f"ggml's Vulkan shaders do not compile:\n{error.completed.last_lines}"
                raise errors.InternalError(message) from error
    return target


def _fill(made: Path, glslc: Path, glsl: Path, progress: console.Progress) -> None:
    features = [name for test, name in _FEATURES.items() if _knows(glslc, glsl, test)]
    macros = [f"GGML_VULKAN_{name}_GLSLC_SUPPORT" for name in features]
    (made / "features").write_text("".join(f"{macro}\n" for macro in macros), "utf-8")
    with cache.scratch("vulkan-shaders") as work:
        with progress.step("listing shaders"):
            shaders = _listed(made, work, glsl, macros)
        calls: list[list[str | Path]] = [
            [glslc, *options, "-I", glsl, "-c", *files]
            for options, files in _batches(shaders, work)
        ]
        _run_all(calls, work, progress)
        for shader in shaders:
            # Not renamed: one of the two may be a mount of its own.
            shutil.move(work / f"{shader.name}.comp.spv", made / f"{shader.name}.spv")
    (made / "shaders.c").write_text(_embedding(made, shaders), "utf-8")


def _knows(glslc: Path, glsl: Path, test: str) -> bool:
    words = ["-o", "-", "-fshader-stage=compute", "--target-env=vulkan1.3"]
    file = glsl / "feature-tests" / f"{test}.comp"
    return run([glslc, *words, file], timeout_s=60, check=False).exit_code == 0


def _listed(made: Path, work: Path, glsl: Path, macros: list[str]) -> list[Shader]:
    """What ggml's generator would have glslc make; its tables and declarations go to `made`."""
    generator, recorder, asked = work / "generator", work / "recorder", work / "asked"
    recorder.write_text(_RECORDER, "utf-8")
    recorder.chmod(0o755)
    asked.mkdir()
    words: list[str | Path] = [compilers.zig(), "c++", "-O1", "-std=c++17"]
    words += [*(f"-D{macro}" for macro in macros), glsl / "vulkan-shaders-gen.cpp"]
    environment = compilers.environment()
    run([*words, "-o", generator, "-lpthread"], timeout_s=_TIMEOUT_S, env=environment)
    common: list[str | Path] = [generator, "--glslc", recorder, "--output-dir", asked]
    common += ["--target-hpp", made / "ggml-vulkan-shaders.hpp"]
    run(common, timeout_s=_TIMEOUT_S)
    tables = []
    for source in sorted(glsl.glob("*.comp")):
        run([*common, "--source", source, "--target-cpp", work / "tables"], timeout_s=_TIMEOUT_S)
        tables.append((work / "tables").read_text("utf-8"))
    (made / "tables.cpp").write_text("".join(dict.fromkeys(tables)), "utf-8")
    return [_read(path) for path in sorted(asked.glob("*.words"))]


def _read(path: Path) -> Shader:
    """The shader of a recorded call of glslc."""
    options, macros, source = [], [], None
    words = iter(path.read_text("utf-8").splitlines())
    for word in words:
        if word in ("-o", "-MF"):
            next(words)
        elif word.startswith("-D"):
            macros.append(word[2:])
        elif word.startswith("-"):
            # Which files it read is of no use here.
            options += [word] if word != "-MD" else []
        else:
            source = Path(word)
    if source is None:
        message = f"ggml's generator asks for `{path.name}` of nothing"
        raise errors.InternalError(message)
    return Shader(path.name.removesuffix(".spv.words"), tuple(options), source, tuple(macros))


def _run_all(calls: list[list[str | Path]], work: Path, progress: console.Progress) -> None:
    """Runs the compiler as often as there are cores at a time."""

    def compile_some(call: list[str | Path]) -> None:
        run(call, timeout_s=_TIMEOUT_S, cwd=work)

    with progress.step("compiling shaders", len(calls)) as step:
        pool = ThreadPoolExecutor(os.cpu_count() or 1)
        try:
            for _ in pool.map(compile_some, calls):
                step.advance()
        finally:
            pool.shutdown(cancel_futures=True)


def _batches(shaders: list[Shader], work: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Shaders with the same options, some at a time, written to `work`."""
    ordered = sorted(shaders, key=lambda shader: shader.options)
    for options, alike in itertools.groupby(ordered, key=lambda shader: shader.options):
        names = []
        for shader in alike:
            names.append(f"{shader.name}.comp")
            (work / names[-1]).write_text(shader.text(), "utf-8")
        for first in range(0, len(names), _SHADERS_PER_CALL):
            yield options, names[first : first + _SHADERS_PER_CALL]


def _embedding(made: Path, shaders: list[Shader]) -> str:
    """C that holds the files: a section each, so that the linker drops what nothing calls."""
    parts = ["// The shaders, by the names that ggml gives them.\n"]
    for shader in shaders:
        spirv = (made / f"{shader.name}.spv").read_bytes()
        name, digest = shader.name, hashlib.sha256(spirv).hexdigest()
        both = "".join(f".globl {name}_{of}\\n.hidden {name}_{of}\\n" for of in ("len", "data"))
        # zig looks the result up by this text alone, so the hash stands in it.
        parts.append(
            f'__asm__(".section .rodata.{name},\\"a\\"\\n.balign 8\\n{both}"\n'
            f'        "{name}_len: .quad {len(spirv)}\\n"\n'
            f'        "{name}_data: .incbin \\"{name}.spv\\"\\n");  // {digest}\n'
        )
    return "".join(parts)
