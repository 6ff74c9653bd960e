"""The Kotlin library, compiled for this machine's JVM with its tests and its native code."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from sphere_edge.run import Completed, run
from sphere_edge.toolchain import cache as cache_folder
from sphere_edge.toolchain import native
from tests import contract_cases, groups, kotlin_compiler
from tests.kotlin_compiler import ANDROID, Kotlin

_INPUTS = ("android/sphere-edge/src", "native/include", "tests/kotlin_*.py", "tests/android_stubs")
_TIMEOUT_S = 1800.0
_STUBS = groups.ROOT / "tests" / "android_stubs"
# The parts that need android.* classes are compiled apart, against stubs.
_ON_ANDROID_ONLY = ANDROID / "src" / "main" / "kotlin" / "dev" / "sphereedge" / "android"


@dataclass(frozen=True)
class Library:
    """`classes` and `tests` are folders of class files; `jni` the native library."""

    classes: Path
    tests: Path
    jni: Path

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
        places.write_text(json.dumps(contract_cases.models()))
        classes = [self.classes, self.tests, *kotlin.libraries, *kotlin_compiler.junit()]
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
    core = native.build(native.host(), engines=native.ALL_ENGINES).library
    assert core is not None
    made = cache_folder.folder() / "kotlin" / f"library-{groups.fingerprint(_INPUTS)[:16]}"
    with cache_folder.made_once(made) as making:
        if making is not None:
            main = sorted(set((ANDROID / "src" / "main" / "kotlin").rglob("*.kt")))
            main = [path for path in main if _ON_ANDROID_ONLY not in path.parents]
            tests = sorted((ANDROID / "src" / "test" / "kotlin").rglob("*.kt"))
            classes = making / "classes"
            kotlin.compile(main, classes, "-Xexplicit-api=strict", "-module-name=sphere-edge")
            junit = kotlin_compiler.junit()[0]
            friend = f"-Xfriend-paths={classes}"
            kotlin.compile(tests, making / "tests", str(classes), str(junit), friend)
            _check_android_only(kotlin, classes, making / "android")
    return Library(made / "classes", made / "tests", _jni(core, made))


def _check_android_only(kotlin: Kotlin, classes: Path, into: Path) -> None:
    """Compiles what needs android.* against stubs of exactly the signatures that it uses."""
    stubs = into / "stubs"
    stubs.mkdir(parents=True)
    compiler = kotlin.java.home / "bin" / "javac"
    run([compiler, "-d", stubs, *sorted(_STUBS.rglob("*.java"))], timeout_s=_TIMEOUT_S)
    sources = sorted(_ON_ANDROID_ONLY.glob("*.kt"))
    flags = ("-Xexplicit-api=strict", f"-Xfriend-paths={classes}")
    kotlin.compile(sources, into / "classes", str(classes), str(stubs), *flags)


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
