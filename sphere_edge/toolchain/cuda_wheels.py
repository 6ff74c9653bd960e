"""What compiles CUDA without a toolkit: parts of NVIDIA's wheels, and clang's headers for it.

The compiler itself is the clang inside zig, which knows NVIDIA's GPUs but comes without clang's own
headers for CUDA; the wheel of clang-tidy has them. All of it is fetched when a runtime with ggml's
CUDA backend is built, not when sphere-edge is installed: 90 MB, 140 for Thor.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from pathlib import Path

from sphere_edge import console, errors
from sphere_edge.toolchain import wheels
from sphere_edge.toolchain.wheels import Wheel

_X86, _ARM = "manylinux2014_x86_64", "manylinux2014_aarch64"
_NVCC = "nvidia/cuda_nvcc"
_NVCC_KEPT = (f"{_NVCC}/bin/ptxas", f"{_NVCC}/include/", f"{_NVCC}/nvvm/libdevice/libdevice.10.bc")
_RUNTIME = "nvidia/cuda_runtime"
_RUNTIME_KEPT = (f"{_RUNTIME}/include/", f"{_RUNTIME}/lib/libcudart_static.a")
_FATBIN = "nvidia/nvfatbin/lib/libnvfatbin.so.12"
_PTXAS_13 = "nvidia/cu13/bin/ptxas"


def _of_both(x86: Wheel, arm: tuple[str, int]) -> dict[str, Wheel]:
    """The wheels of one package by machine; the other one has its own sha256 and size in bytes."""
    sha256, size = arm
    other = replace(x86, sha256=sha256, archive_bytes=size, platform=_ARM)
    return {"x86_64": x86, "aarch64": other}


# By the machine that they run on.
_NVCC_12 = _of_both(
    Wheel(
        *("nvidia-cuda-nvcc-cu12", "12.9.86"),
        sha256="5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0",
        archive_bytes=40_546_229,
        platform="manylinux2010_x86_64",
        keep=_NVCC_KEPT,
    ),
    arm=("44e1eca4d08926193a558d2434b1bf83d57b4d5743e0c431c0c83d51da1df62b", 39_411_138),
)
_NVCC_13 = _of_both(
    Wheel(
        *("nvidia-cuda-nvcc", "13.5.37"),
        sha256="f5c4f7ead5d964fb4af42bbf1e6d3ec3c1e6e9d83b53749f691d387e7fcaa3a7",
        archive_bytes=47_028_279,
        platform=_X86,
        keep=(_PTXAS_13,),
    ),
    arm=("588eda18eb5076ae859fe272844b526459228af22df0b117f54eec3aa82bc9c8", 40_745_418),
)
_FATBIN_12 = _of_both(
    Wheel(
        *("nvidia-nvfatbin-cu12", "12.9.82"),
        sha256="16cbfbd12287508212f22f42dff6ff51cf9b528b906f57f615b080da16dea1ea",
        archive_bytes=966_865,
        platform="manylinux1_x86_64",
        keep=(_FATBIN,),
    ),
    arm=("92d516bdb9287970cecbf855a0fd39d09599db806148038e1ed2cf0eaef92af2", 913_672),
)
# By the machine that the runtime is for.
_RUNTIME_12 = _of_both(
    Wheel(
        *("nvidia-cuda-runtime-cu12", "12.9.79"),
        sha256="25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3",
        archive_bytes=3_493_179,
        platform=_X86,
        keep=_RUNTIME_KEPT,
    ),
    arm=("83469a846206f2a733db0c42e223589ab62fd2fabac4432d2f8802de4bded0a4", 3_515_012),
)
# Headers alone, the same for all machines.
_TEMPLATES = Wheel(
    *("nvidia-cuda-cccl-cu12", "12.9.27"),
    sha256="37869e17ce2e1ecec6eddf1927cca0f8c34e64fd848d40453df559091e2d7117",
    archive_bytes=3_152_243,
    platform=_X86,
    keep=("nvidia/cuda_cccl/include/",),
)
# Of the version of the clang inside zig, whose builtins they call.
_CLANG = Wheel(
    *("clang-tidy", "22.1.8"),
    sha256="1a3de07ba82d4403d8b692ae63a5520d4db5c606014c92c24bbcef9259057bf1",
    archive_bytes=44_070_377,
    platform="manylinux_2_28_x86_64",
    keep=("clang_tidy/data/lib/clang/22/include/",),
)

# As NVIDIA names them -> the version of PTX that first has what is written for them. What CUDA 12
# can make is made with CUDA 12, so that its drivers (JetPack 6) take it; Thor came with CUDA 13.
_CUDA_12 = ("sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_100", "sm_120")
ARCHITECTURES = (*_CUDA_12, "sm_110")


@dataclass(frozen=True)
class CudaTools:
    """Where the parts lie once `fetch` was called; `wheels` are those that they are from."""

    wheels: tuple[Wheel, ...]
    assembler: Path
    packer: Path
    device_library: Path
    # In the order in which they are searched, clang's own first.
    clang_headers: Path
    headers: tuple[Path, ...]
    runtime_library: Path
    # The PTX that the assembler reads, as clang names it.
    ptx: str


def tools(architecture: str, machine: str) -> CudaTools:
    """What compiles for GPUs of `architecture` (sm_87) in a `machine` (aarch64, x86_64).

    Raises UnsupportedError for GPUs, machines and build machines without wheels.
    """
    if architecture not in ARCHITECTURES:
        message = f"ggml's CUDA backend is not built for `{architecture}`"
        raise errors.UnsupportedError(message, hint=f"choose one of: {', '.join(ARCHITECTURES)}")
    here = platform.machine()
    for one in (here, machine):
        if one not in _RUNTIME_12:
            message = f"NVIDIA has no CUDA for Linux on `{one}`"
            raise errors.UnsupportedError(message)
    nvcc, packer, runtime = _NVCC_12[here], _FATBIN_12[here], _RUNTIME_12[machine]
    used = [nvcc, packer, runtime, _TEMPLATES, _CLANG]
    assembler, ptx = wheels.folder(nvcc) / _NVCC_KEPT[0], "ptx88"
    if architecture not in _CUDA_12:
        used.append(_NVCC_13[here])
        assembler, ptx = wheels.folder(_NVCC_13[here]) / _PTXAS_13, "ptx90"
    return CudaTools(
        wheels=tuple(used),
        assembler=assembler,
        packer=wheels.folder(packer) / _FATBIN,
        device_library=wheels.folder(nvcc) / _NVCC_KEPT[2],
        clang_headers=wheels.folder(_CLANG) / _CLANG.keep[0],
        headers=(
            wheels.folder(runtime) / _RUNTIME / "include",
            wheels.folder(nvcc) / _NVCC / "include",
            wheels.folder(_TEMPLATES) / _TEMPLATES.keep[0],
        ),
        runtime_library=wheels.folder(runtime) / _RUNTIME_KEPT[1],
        ptx=ptx,
    )


def fetch(found: CudaTools, progress: console.Progress = console.SILENT) -> None:
    """Fetches what is not in the cache; raises what `wheels.fetch` raises."""
    for wheel in found.wheels:
        wheels.fetch(wheel, progress)
    # Files that are taken out of a wheel one by one are no programs yet.
    found.assembler.chmod(0o755)
