"""What an NDK would be asked to build: all but the compiling, with a stand-in for the NDK."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge.run import run
from sphere_edge.toolchain import compilers, native, sources, targets

pytestmark = pytest.mark.group("android")
# The stand-in's toolchain file notes what it was given, as the real one reads it (NDK, "CMake").
# Its compiler is zig's clang, which takes what the NDK's takes and has no headers of Android.
_TOOLCHAIN = """
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(ANDROID TRUE)
set(CMAKE_C_COMPILER "{zig};clang;--target=aarch64-linux-android28")
set(CMAKE_CXX_COMPILER "{zig};clang;--driver-mode=g++;--target=aarch64-linux-android28")
set(CMAKE_HAVE_LIBC_PTHREAD TRUE)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
# It is also read by cmake's first questions, which know none of these.
foreach(name ANDROID_ABI ANDROID_PLATFORM ANDROID_STL ANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES)
  if(DEFINED ${{name}})
    file(APPEND "{noted}" "${{name}}=${{${{name}}}}\\n")
  endif()
endforeach()
"""


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("android-arm64", "armv8-a"),
        ("android-arm64-dotprod", "armv8.2-a+dotprod+fp16"),
        ("android-arm64-i8mm", "armv8.2-a+dotprod+fp16+i8mm"),
    ],
)
def test_the_ndk_is_asked_for_the_level_the_oldest_android_and_16_kb_pages(
    name: str, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = targets.NAMED[name]
    ndk = tmp_path / "ndk"
    file = ndk / "build/cmake/android.toolchain.cmake"
    file.parent.mkdir(parents=True)
    file.write_text(_TOOLCHAIN.format(zig=compilers.zig(), noted=tmp_path / "noted"))
    (ndk / "source.properties").write_text("Pkg.Revision = 28.0.12674087\n")
    monkeypatch.setenv(compilers.NDK_VARIABLE, str(ndk))
    assert "28.0" in compilers.identity(target)["ndk"]
    project = native.core_project(target)
    for source in ("llama_cpp", "llama_cpp_vision", "whisper_cpp", "monocypher"):
        sources.fetch(source)
    work = tmp_path / "work"
    run(
        [
            *(compilers.cmake(), "-S", project.folder, "-B", work),
            *compilers.cmake_arguments(target, work),
            "-DCMAKE_BUILD_TYPE=Release",
            *(f"-D{key}={value}" for key, value in project.definitions.items()),
            *(f"-D{key}={path}" for key, path in project.folders.items()),
            # Compiled along, so that this configures the engines, too.
            "-DSE_ENGINES_DIR=",
        ],
        timeout_s=300,
        env=compilers.environment(),
    )
    noted = dict(line.split("=", 1) for line in (tmp_path / "noted").read_text().splitlines())
    assert noted == {
        "ANDROID_ABI": "arm64-v8a",
        "ANDROID_PLATFORM": "android-28",
        "ANDROID_STL": "c++_static",
        "ANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES": "ON",
    }
    rules = (work / "build.ninja").read_text().splitlines()
    compiled = [line for line in rules if line.startswith("  FLAGS = ")]
    baseline = [line for line in compiled if line.endswith("-fno-builtin")]
    # All but what has to run on every CPU, to say that this one lacks something.
    assert baseline
    assert all(f"-march={level} " in f"{line} " for line in compiled)
    assert all("-march=armv8-a" in line for line in baseline)
    library = rules.index(next(line for line in rules if "build lib/libsphere_edge.so" in line))
    linked = next(line for line in rules[library:] if line.startswith("  LINK_FLAGS"))
    assert "-z,max-page-size=16384" in linked
    # No library of TVM's: it has none for Android.
    assert "libtvm" not in "".join(rules)
