"""Compiles the OpenCL C of bundles for Mali and Adreno with clang, within the devices' limits.

Nothing is run: it shows that a driver's compiler, which is a clang too, will take the kernels.

    python tests/integration/opencl_front_end.py [BUNDLE…]    (from the repository, PYTHONPATH=.)

Without bundles it takes the code of tiny ones, of several families and both kinds of GPU.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

import golden_gpu_code
import opencl_in_library
from golden_gpu_code import MODELS, KvDtype

from sphere_edge import profiles
from sphere_edge.compiler.target import GpuFamily
from sphere_edge.run import run

FAMILIES: tuple[GpuFamily, ...] = ("mali", "adreno")
PHONES: dict[GpuFamily, str] = {"mali": "pixel8", "adreno": "galaxy-s24"}
_COMPILERS = ("clang-19", "clang-18", "clang-17", "clang-16", "clang")
_FLAGS = (
    *("-x", "cl", "-cl-std=CL1.2", "-target", "spir64-unknown-unknown", "-c", "-emit-llvm"),
    *("-Xclang", "-finclude-default-header", "-Xclang", "-cl-ext=+cl_khr_fp16"),
    *("-Werror", "-Wno-unused-value", "-o", "/dev/null"),
)
_SIZES = {"char": 1, "half": 2, "float": 4, "int": 4, "uint": 4}
# Of a work group, on Mali and Adreno alike.
_LOCAL_BYTES = 32768
_LOCAL = re.compile(r"__local (half|float|int|uint|char)(\d*) \w+\[(\d+)\];")


def compiler() -> str | None:
    """A clang that reads OpenCL C, if one is installed."""
    return next((path for name in _COMPILERS if (path := shutil.which(name))), None)


def source(
    name: str,
    gpu: GpuFamily,
    fmt: str,
    kv_dtype: KvDtype = "float16",
    phone: profiles.DeviceProfile | None = None,
) -> str:
    """All kernels in the library that a bundle of the golden `name` holds for a phone's GPU."""
    phone = phone or profiles.load(PHONES[gpu])
    with tempfile.TemporaryDirectory() as folder:
        code, library = golden_gpu_code.compiled(name, fmt, phone, Path(folder), kv_dtype)
        assert (code.backend, code.arithmetic) == ("opencl", "float16")
        return opencl_in_library.source(library)


def complaints(text: str, clang: str, *flags: str) -> list[str]:
    """What the compiler, with more `flags`, and the device's limits have against a program."""
    wrong = []
    for kernel in text.split("// Function: ")[1:]:
        parts = [
            _SIZES[kind] * int(lanes or 1) * int(count)
            for kind, lanes, count in _LOCAL.findall(kernel)
        ]
        if sum(parts) > _LOCAL_BYTES:
            wrong.append(f"{kernel.split()[0]}: {sum(parts)} bytes of local memory")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.cl"
        path.write_text(text)
        done = run([clang, *_FLAGS, *flags, path], timeout_s=120, check=False)
    return wrong if done.exit_code == 0 else [*wrong, *done.stderr.strip().splitlines()[:20]]


def main(bundles: list[str]) -> None:
    """Prints a line per program; exit code 1 if any is refused."""
    clang = compiler()
    if clang is None:
        sys.exit("no clang is installed (Debian: apt-get install clang-16)")
    programs = (
        [(Path(bundle).name, _of_bundle(Path(bundle))) for bundle in bundles]
        if bundles
        else (
            (f"{gpu:8} {name:28} {fmt:4}", source(name, gpu, fmt))
            for gpu in FAMILIES
            for name in MODELS
            for fmt in ("q4", "q8", "f16")
        )
    )
    failed = False
    for title, text in programs:
        wrong = complaints(text, clang)
        count = text.count("// Function: ")
        print(f"{title} {count:3} kernels", "; ".join(wrong) or "ok")
        failed |= bool(wrong)
    sys.exit(failed)


def _of_bundle(folder: Path) -> str:
    return opencl_in_library.source(folder / "lib" / "model-opencl.so")


if __name__ == "__main__":
    main(sys.argv[1:])
