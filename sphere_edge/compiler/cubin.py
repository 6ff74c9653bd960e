"""CUDA kernels as machine code: NVRTC from its wheel compiles them, with no toolkit and no driver.

What TVM needs to put a cubin into a module is its CUDA runtime library, which is linked against
the driver. Nothing of the driver is called here, so where there is none an empty library takes its
name.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import platform
from pathlib import Path

import tvm
import tvm_ffi

from sphere_edge.errors import InternalError, UnsupportedError
from sphere_edge.resources import cache_folder
from sphere_edge.toolchain.elf.library import empty
from sphere_edge.toolchain.elf.objects import AARCH64, X86_64

_DRIVER = "libcuda.so.1"
_MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}
# In NVIDIA's wheels for CUDA 12 and 13.
_NVRTC = ("cuda_nvrtc/lib/libnvrtc.so.12", "cu13/lib/libnvrtc.so.13")
_SUCCESS = 0
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
    nvrtc = _nvrtc(architecture)
    include = _wheel() / "include"
    options = [
        f"--gpu-architecture={architecture}",
        "--std=c++17",
        "-default-device",
        f"--include-path={include}",
        f"--include-path={include / 'cccl'}",
    ]
    program = ctypes.c_void_p()
    text = (source.encode(), b"kernels.cu", 0, None, None)
    _check(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), *text))
    try:
        given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if nvrtc.nvrtcCompileProgram(program, len(options), given) != _SUCCESS:
            log = _read(nvrtc, program, "ProgramLog").decode(errors="replace")
            log_end = log.rstrip("\0\n")[-2000:]
            message = f"NVRTC failed to compile the kernels for `{architecture}`:\n{log_end}"
            raise InternalError(message)
        return _read(nvrtc, program, "CUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _read(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    content = ctypes.create_string_buffer(size.value)
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, content))
    return content.raw


def _check(nvrtc: ctypes.CDLL, status: int) -> None:
    if status != _SUCCESS:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        message = f"NVRTC failed: {nvrtc.nvrtcGetErrorString(status).decode()}"
        raise InternalError(message)


def _nvrtc(architecture: str) -> ctypes.CDLL:
    """The oldest compiler that knows the architecture, by NVRTC's C API.

    A driver takes machine code from compilers of its own major version and older ones (CUDA
    Compatibility, "minor version compatibility"): what CUDA 12 can make also runs on JetPack 6.
    """
    number = int(architecture.removeprefix("sm_"))
    candidates = (folder / name for name in _NVRTC for folder in _nvidia())
    libraries = [path for path in candidates if path.is_file()]
    if not libraries:
        message = "compiling for CUDA needs NVRTC, which is not installed"
        raise UnsupportedError(message, hint=_EXTRA)
    for library in libraries:
        nvrtc = ctypes.CDLL(str(library))
        count = ctypes.c_int()
        _check(nvrtc, nvrtc.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
        known = (ctypes.c_int * count.value)()
        _check(nvrtc, nvrtc.nvrtcGetSupportedArchs(known))
        if number in known:
            return nvrtc
    message = f"NVRTC does not know `{architecture}`"
    raise UnsupportedError(message, hint=_EXTRA)


def _nvidia() -> list[Path]:
    """The folders of NVIDIA's wheels."""
    found = importlib.util.find_spec("nvidia")
    return [Path(one) for one in (found.submodule_search_locations or ())] if found else []


def _wheel() -> Path:
    """The folder of NVIDIA's wheels for CUDA 13."""
    for root in _nvidia():
        folder = root / "cu13"
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
    path = cache_folder() / "no-driver" / _DRIVER
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f"{_DRIVER}.new")
        made.write_bytes(empty(_DRIVER, _MACHINES[platform.machine()]))
        made.replace(path)
    return path
