"""CUDA kernels as machine code: NVRTC from its wheel compiles them, with no toolkit and no driver.

What TVM needs to put a cubin into a module is its CUDA runtime library, which is linked against
the driver. Nothing of the driver is called here, so where there is none an empty library takes its
name.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path
from typing import Any

import tvm
import tvm_ffi

from sphere_edge.errors import InternalError, UnsupportedError
from sphere_edge.resources import cache_folder
from sphere_edge.run import run
from sphere_edge.toolchain import compilers

_DRIVER = "libcuda.so.1"
_EXTRA = "pip install 'sphere-edge[cuda]' brings NVRTC and the headers it needs"


def register(architecture: str) -> None:
    """Makes TVM turn all CUDA that it writes from now on into a cubin for `architecture` (sm_87).

    Raises UnsupportedError where the wheels of the extra `cuda` are missing.
    """
    _load_runtime()

    def compiled(code: str) -> bytes:
        return cubin(str(code), architecture)

    tvm_ffi.register_global_func("tvm_callback_cuda_compile", compiled, override=True)


def cubin(source: str, architecture: str) -> bytes:
    """CUDA C++ as an ELF file for one architecture; InternalError with the compiler's words."""
    nvrtc = _nvrtc()
    include = _wheel() / "include"
    options = [
        f"--gpu-architecture={architecture}",
        "--std=c++17",
        "-default-device",
        f"--include-path={include}",
        f"--include-path={include / 'cccl'}",
    ]
    status, program = nvrtc.nvrtcCreateProgram(source.encode(), b"kernels.cu", 0, [], [])
    _check(nvrtc, status)
    try:
        given = [option.encode() for option in options]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(given), given)
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            message = f"NVRTC refused the kernels for `{architecture}`:\n{_log(nvrtc, program)}"
            raise InternalError(message)
        status, size = nvrtc.nvrtcGetCUBINSize(program)
        _check(nvrtc, status)
        code = bytes(size)
        (status,) = nvrtc.nvrtcGetCUBIN(program, code)
        _check(nvrtc, status)
        return code
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _log(nvrtc: Any, program: Any) -> str:
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    text = bytes(size)
    nvrtc.nvrtcGetProgramLog(program, text)
    return text.decode(errors="replace").rstrip("\0\n")[-2000:]


def _check(nvrtc: Any, status: Any) -> None:
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        message = f"NVRTC failed: {status.name}"
        raise InternalError(message)


def _nvrtc() -> Any:
    try:
        from cuda.bindings import nvrtc
    except ImportError as error:
        message = "compiling for CUDA needs NVRTC, which is not installed"
        raise UnsupportedError(message, hint=_EXTRA) from error
    return nvrtc


def _wheel() -> Path:
    """The folder of NVIDIA's wheels for CUDA 13."""
    found = importlib.util.find_spec("nvidia")
    for place in (found.submodule_search_locations or ()) if found else ():
        folder = Path(place) / "cu13"
        if (folder / "include" / "cuda_fp16.h").is_file():
            return folder
    message = "compiling for CUDA needs the headers of CUDA 13, which are not installed"
    raise UnsupportedError(message, hint=_EXTRA)


@functools.cache
def _load_runtime() -> None:
    """Loads TVM's CUDA runtime, which makes the modules that hold cubins."""
    if tvm_ffi.get_global_func("device_api.cuda", allow_missing=True) is not None:
        # Ours, from a bundle that was opened on a GPU; TVM's ends the process if it meets that.
        message = "this process runs models on CUDA and cannot compile for it"
        raise UnsupportedError(message, hint="package the model in another process")
    library = Path(tvm.__file__).parent / "lib" / "libtvm_runtime_cuda.so"
    runtime = next(iter(sorted((_wheel() / "lib").glob("libcudart.so.*"))), None)
    if runtime is None or not library.is_file():
        message = "compiling for CUDA needs the CUDA runtime library, which is not installed"
        raise UnsupportedError(message, hint=_EXTRA)
    ctypes.CDLL(str(runtime), ctypes.RTLD_GLOBAL)
    try:
        ctypes.CDLL(_DRIVER, ctypes.RTLD_GLOBAL)
    except OSError:
        ctypes.CDLL(str(_no_driver()), ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL | 1)


def _no_driver() -> Path:
    """An empty library with the driver's name."""
    library = cache_folder() / "no-driver" / _DRIVER
    if not library.is_file():
        library.parent.mkdir(parents=True, exist_ok=True)
        source = library.with_name("empty.c")
        source.write_text("int sphere_edge_has_no_driver;\n")
        made = library.with_name(f"{_DRIVER}.new")
        flags = ["-shared", f"-Wl,-soname,{_DRIVER}", "-o", made]
        command = [str(compilers.zig()), "cc", *map(str, [*flags, source])]
        run(command, timeout_s=300, env=compilers.environment())
        made.replace(library)
    return library
