"""The Kotlin library, compiled for this machine's JVM with its tests and its native code."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from sphere_edge.run import Completed, run
from sphere_edge.toolchain import cache as cache_folder
from tests import contract_cases, groups, kotlin_compiler, random_mmproj, runtimes
from tests.golden_bundle import GOLDEN
from tests.kotlin_compiler import ANDROID, Kotlin

_INPUTS = (
    "android/sphere-edge/src",
    "native/include",
    "tests/kotlin_*.py",
    "tests/app_stubs/android",
    "tests/app_stubs/play",
)
_MODELS = ("tests/random_mmproj.py",)
_TIMEOUT_S = 1800.0
_STUBS = groups.ROOT / "tests" / "app_stubs"
# The parts that need android.* classes are compiled apart, against stubs.
_ON_ANDROID_ONLY = ANDROID / "src" / "main" / "kotlin" / "dev" / "sphereedge" / "android"


@dataclass(frozen=True)
class Library:
    """`made` has folders of class files; `jni` is the native library."""

    made: Path
    jni: Path

    @property
    def classes(self) -> list[Path]:
        """The library, what of it needs android.*, and the stubs that stand for that."""
        return [self.made / name for name in ("classes", "android", "stubs")]

    def run(self, test: str, *properties: str) -> Completed:
        """Runs a test class on the JVM; raises ProgramFailedError with what it printed."""
        return run(
            self._words(*properties, "org.junit.runner.JUnitCore", test), timeout_s=_TIMEOUT_S
        )

    def main(self, name: str, *arguments: str) -> Completed:
        """Runs the function `main` of a file of the tests."""
        return run([*self._words(name), *arguments], timeout_s=_TIMEOUT_S)

    def _words(self, *last: str) -> list[str | Path]:
        kotlin = kotlin_compiler.kotlin()
        places = self.jni.parent / "models.json"
        places.write_text(json.dumps(contract_cases.models() | _more_models()))
        classes = [*self.classes, self.made / "tests", *kotlin.libraries, *kotlin_compiler.junit()]
        return [
            # TVM puts a handler of its own in place of that with which Java finds null references.
            *("env", f"LD_PRELOAD={kotlin.java.home / 'lib' / 'libjsig.so'}"),
            *(kotlin.java.program, "-Xcheck:jni", "-Xmx600m"),
            *(f"-Djava.library.path={self.jni.parent}", f"-Dsphereedge.models={places}"),
            f"-Dsphereedge.contract={contract_cases.FOLDER}",
            *("-cp", os.pathsep.join(map(str, classes))),
            *last,
        ]


def built() -> Library:
    """Raises NotFoundError where a tool is missing, ProgramFailedError with a compiler's words."""
    kotlin = kotlin_compiler.kotlin()
    kotlin_compiler.junit()
    core = runtimes.here().library
    assert core is not None
    made = cache_folder.folder() / "kotlin" / f"library-{groups.fingerprint(_INPUTS)[:16]}"
    with cache_folder.made_once(made) as making:
        if making is not None:
            _compile(kotlin, making)
    return Library(made, _jni(core, made))


def _compile(kotlin: Kotlin, into: Path) -> None:
    """What needs android.* is compiled against stubs of exactly the signatures that it uses."""
    classes, android, stubs = (into / name for name in ("classes", "android", "stubs"))
    main = sorted(set((ANDROID / "src" / "main" / "kotlin").rglob("*.kt")))
    plain = [path for path in main if _ON_ANDROID_ONLY not in path.parents]
    kotlin.compile(plain, classes, "-Xexplicit-api=strict", "-module-name=sphere-edge")
    stubs.mkdir()
    compiler = kotlin.java.home / "bin" / "javac"
    run([compiler, "-d", stubs, *sorted(_STUBS.rglob("*.java"))], timeout_s=_TIMEOUT_S)
    flags = ("-Xexplicit-api=strict", f"-Xfriend-paths={classes}")
    on_android = [path for path in main if path not in plain]
    kotlin.compile(on_android, android, str(classes), str(stubs), *flags)
    tests = sorted((ANDROID / "src" / "test" / "kotlin").rglob("*.kt"))
    used = [classes, android, stubs, kotlin_compiler.junit()[0]]
    kotlin.compile(tests, into / "tests", *map(str, used), f"-Xfriend-paths={classes}")


def _more_models() -> dict[str, str]:
    """What only the tests of this library open."""
    folder = cache_folder.folder() / "kotlin" / f"models-{groups.fingerprint(_MODELS)[:16]}"
    with cache_folder.made_once(folder) as making:
        if making is not None:
            random_mmproj.write(making / "mmproj.gguf")
    return {"mmproj": str(folder / "mmproj.gguf"), "golden": str(GOLDEN)}


def _jni(core: Path, made: Path) -> Path:
    """Linked with the core where that lies."""
    library = made / core.parent.parent.name / "libsphere_edge_jni.so"
    with cache_folder.made_once(library.parent) as making:
        if making is not None:
            headers = kotlin_compiler.java().home / "include"
            zig = [sys.executable, "-m", "ziglang", "c++"]
            sources = sorted((ANDROID / "src" / "main" / "cpp").glob("*.cpp"))
            words = [*zig, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-O1"]
            includes = [groups.ROOT / "native" / "include", headers, headers / "linux"]
            links = [
                f"-L{core.parent}",
                "-lsphere_edge",
                f"-Wl,-rpath,{core.parent}",
                "-Wl,-z,defs",
            ]
            flags = [f"-I{path}" for path in includes]
            run(
                [*words, *flags, *sources, *links, "-o", making / library.name],
                timeout_s=_TIMEOUT_S,
            )
    return library
