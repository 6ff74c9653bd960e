"""Groups of expensive tests, which run when a file that they test has changed since they passed.

`tests/full_runs.json` holds, for each group, the hash of its inputs at the last run in which all of
its tests passed. An input is a file of this repository: what git, the clock or the machine say does
not matter. A group whose inputs have another hash runs with `make test`; every group runs with
`make test-all`, one of them with `make test-NAME`, and all three write the hashes of those that
passed whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests" / "full_runs.json"
# Pins the compilers and TVM.
_PINS = ("constraints.txt",)
# All that decides a runtime for another machine, and what its tests have in common.
_RUNTIMES = (
    *_PINS,
    "native",
    "sphere_edge/toolchain",
    "sphere_edge/simulate",
    "sphere_edge/devices",
    "tests/integration/emulator.py",
)


@dataclass(frozen=True)
class Group:
    """`inputs` are files, folders with all that is in them, and patterns, below the repository."""

    tests: str
    inputs: tuple[str, ...]


GROUPS: Mapping[str, Group] = {
    "goldens": Group(
        "every configuration of every text family, compiled and as reference, against transformers",
        (
            *_PINS,
            "sphere_edge/models",
            "sphere_edge/compiler",
            "sphere_edge/engines",
            "sphere_edge/quantization",
            "sphere_edge/formats",
            "tests/data/goldens",
            "tests/integration/both_sides.py",
            "tests/integration/compiled.py",
            "tests/integration/golden*.py",
            "tests/integration/test_reference.py",
            "tests/integration/test_families*.py",
        ),
    ),
    "kernels": Group(
        "every CPU kernel of every instruction set, compared with numpy",
        (
            *_PINS,
            "sphere_edge/compiler",
            "sphere_edge/quantization",
            "sphere_edge/models/kernels.py",
            "tests/attention_reference.py",
            "tests/unit/kernel_calls.py",
            "tests/unit/test_kernels_*.py",
            "tests/integration/emulat*",
            "tests/integration/test_kernels_neon.py",
        ),
    ),
    "catalogue": Group(
        "the built-in model packaged for every device of the catalogue",
        (
            *_PINS,
            "device_profiles",
            "sphere_edge/bundle",
            "sphere_edge/compiler",
            "sphere_edge/engines",
            "sphere_edge/fit",
            "sphere_edge/models",
            "sphere_edge/packaging",
            "sphere_edge/profiles",
            "sphere_edge/quantization",
            "sphere_edge/toolchain",
            "tests/integration/catalogue_bundles.py",
            "tests/integration/test_catalogue.py",
        ),
    ),
    "gpu": Group(
        "more GPU families, arithmetics and model families on OpenCL",
        (
            *_PINS,
            "native/src/tvm",
            "sphere_edge/models",
            "sphere_edge/compiler",
            "sphere_edge/engines",
            "sphere_edge/quantization",
            "tests/attention_reference.py",
            "tests/integration/opencl*.py",
            "tests/integration/test_gpu_families.py",
            "tests/integration/test_gpu_kernels.py",
        ),
    ),
    "sanitizers": Group(
        "the native core's own test programs, built with sanitizers for memory and for threads",
        (
            *_PINS,
            "native",
            "sphere_edge/bundle",
            "sphere_edge/compiler",
            "sphere_edge/engines",
            "sphere_edge/formats",
            "sphere_edge/models",
            "sphere_edge/quantization",
            "sphere_edge/runtime",
            "sphere_edge/toolchain",
            "tests/integration/sanitized.py",
            "tests/integration/test_managers_together.py",
            "tests/integration/test_native.py",
            "tests/integration/test_native_audio.py",
            "tests/integration/test_whisper_cli.py",
            "tests/random_*.py",
        ),
    ),
    "fuzz": Group(
        "a short run of every target of coverage-guided fuzzing",
        (
            *_PINS,
            "fuzz",
            "native/cmake",
            "native/include",
            "native/src/base",
            "native/src/engines/template_limits.cpp",
            "native/src/engines/vocabulary.cpp",
            "native/src/formats",
            "native/src/text",
            "native/src/tvm",
            "sphere_edge/bundle",
            "sphere_edge/devices",
            "sphere_edge/errors.py",
            "sphere_edge/files.py",
            "sphere_edge/formats",
            "sphere_edge/profiles",
            "sphere_edge/runtime",
            "sphere_edge/toolchain",
            "sphere_edge/whole_number.py",
            "tests/integration/test_fuzz.py",
        ),
    ),
    "archives": Group(
        "the engines' archives, and the runtimes for compiled models alone",
        (
            *_PINS,
            "native",
            "sphere_edge/run.py",
            "sphere_edge/runtime",
            "sphere_edge/toolchain",
            "tests/integration/cxx_library_main.cpp",
            "tests/integration/test_engine_archives.py",
        ),
    ),
    "pc": Group(
        "the runtime for other PCs, sent over SSH and adb and measured there",
        (
            *_RUNTIMES,
            "sphere_edge/bench",
            "sphere_edge/certify",
            "tests/integration/devices",
        ),
    ),
    "arm-image": Group(
        "images generated on an emulated ARM board",
        (*_RUNTIMES, "tests/integration/devices", "tests/random_diffusion.py"),
    ),
    "musl": Group(
        "the static runner for 64-bit ARM, on boards and phones without an NDK",
        (
            *_RUNTIMES,
            "tests/integration/cxx_library_main.cpp",
            "tests/integration/devices",
            "tests/integration/test_engine_archives.py",
            "tests/integration/test_runtime_static.py",
        ),
    ),
    "vulkan": Group(
        "GGUF models on ggml's Vulkan backend",
        (*_RUNTIMES, "tests/integration/test_ggml_gpu.py"),
    ),
    "opencl": Group(
        "GGUF models on a runtime with ggml's OpenCL backend",
        (*_RUNTIMES, "tests/integration/test_ggml_gpu.py"),
    ),
    "cuda": Group(
        "ggml's CUDA files compiled for Jetsons and PCs",
        (*_RUNTIMES, "tests/integration/test_ggml_cuda.py", "tests/integration/cuda_code.py"),
    ),
    "wheels": Group(
        "a wheel with a finished runtime, installed and used where no compiler is",
        (
            *_RUNTIMES,
            "hatch_build.py",
            "pyproject.toml",
            "wheels",
            "sphere_edge/runtime",
            "tests/integration/test_wheels.py",
        ),
    ),
    "kotlin": Group(
        "the Kotlin library on the JVM",
        (
            "android",
            "native/include",
            "native/src/api",
            "tests/contract",
            "tests/contract_cases.py",
            "tests/kotlin_*.py",
            "docs/android.md",
            "tests/app_stubs/android",
            "tests/app_stubs/play",
            "tests/random_mmproj.py",
            "tests/golden_bundle.py",
            "tests/data/golden.bundle",
            "tests/integration/test_kotlin.py",
        ),
    ),
    "swift": Group(
        "the Swift package, built and run on Linux against the native core",
        (
            "ios",
            "native/include",
            "native/src/api",
            "tests/contract",
            "tests/contract_cases.py",
            "tests/bundle_server.py",
            "tests/golden_bundle.py",
            "tests/data/golden.bundle",
            "tests/image_calls.py",
            "tests/random_*.py",
            "tests/foundation_models",
            "tests/swift_*.py",
            "tests/integration/test_swift.py",
        ),
    ),
    "ios": Group(
        "the native core's files without engines, compiled for iPhones",
        (
            *_PINS,
            "native/include",
            "native/src/base",
            "native/src/formats",
            "tests/integration/test_ios_objects.py",
        ),
    ),
    "sdk": Group(
        "app projects rendered from bundles, checked with what there is of their tools",
        (
            "templates",
            "android",
            "ios",
            "native/CMakeLists.txt",
            "native/cmake",
            "native/engines",
            "native/include",
            "sphere_edge/sdk",
            "sphere_edge/commands/sdk.py",
            "tests/android_package.py",
            "tests/app_stubs",
            "tests/app_stubs_compiled.py",
            "tests/data/c_interface.txt",
            "tests/sdk_projects.py",
            "tests/integration/test_sdk_*.py",
        ),
    ),
    "android": Group(
        "the configuration of a build with the NDK",
        (*_RUNTIMES, "tests/integration/test_android_build.py"),
    ),
}


def now() -> dict[str, str]:
    """The hash of each group's inputs as they are."""
    hashes = {}
    for name, group in GROUPS.items():
        # tests/unit/test_groups.py names an input that has gone; its group has no hash, so it runs.
        with suppress(FileNotFoundError):
            hashes[name] = fingerprint(group.inputs)
    return hashes


def fingerprint(inputs: Iterable[str], root: Path = ROOT) -> str:
    """SHA-256 over names and contents of all files of `inputs`; FileNotFoundError for one of none.

    An input that has been moved must be named anew: without it the group would never run again.
    """
    files: set[Path] = set()
    for entry in inputs:
        found = set(_files(root, entry))
        if not found:
            message = f"no file of this repository is `{entry}`, an input of a group of tests"
            raise FileNotFoundError(message)
        files |= found
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _files(root: Path, entry: str) -> Iterator[Path]:
    for path in root.glob(entry):
        found = path.rglob("*") if path.is_dir() else [path]
        yield from (one for one in found if one.is_file() and "__pycache__" not in one.parts)


def recorded(path: Path) -> dict[str, str]:
    """The hash of each group's inputs when it last passed; nothing where there is no record."""
    if not path.is_file():
        return {}
    record: dict[str, str] = json.loads(path.read_text())
    return record


def record(passed: Mapping[str, str], path: Path) -> None:
    """Writes that these groups passed with inputs of these hashes."""
    hashes = {**recorded(path), **passed}
    known = {name: hashes[name] for name in sorted(hashes) if name in GROUPS}
    path.write_text(json.dumps(known, indent=2) + "\n")
