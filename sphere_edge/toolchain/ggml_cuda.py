"""ggml's CUDA kernels as object files: machine code for one GPU, and C++ for one kind of machine.

With no CUDA toolkit. clang (the one inside zig) writes PTX, NVIDIA's assembler makes machine code
of it, its packer the container that CUDA's runtime looks for, and clang compiles the C++ around it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import console, errors, resources
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.toolchain import cache, compilers, cuda_wheels, sources
from sphere_edge.toolchain.targets import Target

# Raised when what is made of the same sources changes.
_RECIPE = 1
SOURCE = "ggml_cuda"
_TIMEOUT_S = 1800.0
_DRIVER = "libcuda.so.1"
# CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR (NVIDIA, CUDA Driver API).
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
# Types of the KV cache, of which ggml can have a kernel of its own for each pair. Ours is in f16.
_CACHE_TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "F16")
_LEFT_OUT = "fattn-vec-instance-"
_KEPT = "fattn-vec-instance-f16-f16.cu"
_DEFINITIONS = (
    # As in native/cmake/engines.cmake.
    "GGML_MAX_NAME=128",
    # Whole memory pools of the driver's; without them nothing but CUDA's runtime is called.
    "GGML_CUDA_NO_VMM",
    "GGML_CUDA_NO_PEER_COPY",
    "GGML_CUDA_USE_GRAPHS",
    'GGML_CUDA_FA_QUANTS="f16-f16"',
    *(f"GGML_CUDA_FA_{k}_{v}={int(k == v == 'F16')}" for k in _CACHE_TYPES for v in _CACHE_TYPES),
    "NDEBUG",
    "_GNU_SOURCE",
)
# What nvcc's -use_fast_math means, which ggml asks for.
_FAST = ("-fno-math-errno", "-fgpu-flush-denormals-to-zero", "-fgpu-approx-transcendentals")
_FAST_DIVISION = ("-mllvm", "-nvptx-prec-divf32=1", "-mllvm", "-nvptx-prec-sqrtf32=0")


@dataclass(frozen=True)
class Kernels:
    """What is compiled: for GPUs of `architecture`, in a `machine` (aarch64, x86_64)."""

    architecture: str
    machine: str
    # With what suffix clang and the assembler know it.
    compiled_as: str
    tools: cuda_wheels.CudaTools

    @property
    def folder(self) -> Path:
        """Where the object files lie, or will lie, with nothing else beside them."""
        headers = hashlib.sha256()
        for path in sorted(_own_headers().iterdir()):
            headers.update(path.read_bytes())
        inputs = repr(
            (
                *(_RECIPE, self.compiled_as, self.machine, _DEFINITIONS, headers.hexdigest()),
                *(compilers.zig_version(), sources.SOURCES[SOURCE].key),
                *(wheel.key for wheel in self.tools.wheels),
            )
        )
        key = hashlib.sha256(inputs.encode()).hexdigest()[:16]
        return cache.folder() / "cuda" / f"{self.architecture}-{self.machine}-{key}"


def architecture_here() -> str:
    """The architecture to compile for to run on this machine's GPU, asked of its driver.

    Raises NotFoundError (no GPU or driver) and UnsupportedError (no code for that GPU).
    """
    try:
        found = _compute_capability(ctypes.CDLL(_DRIVER))
    except (OSError, AttributeError):
        # No driver, or what stands in for one where TVM's CUDA library is loaded without.
        found = None
    if found is None:
        message = "no NVIDIA GPU is here to build ggml's CUDA backend for"
        raise errors.NotFoundError(message, hint="name one, as `cuda:sm_87`")
    return best_architecture(*found)


def _compute_capability(driver: ctypes.CDLL) -> tuple[int, int] | None:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    asked = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device)
        or driver.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, device)
    )
    return (major.value, minor.value) if asked == 0 else None


def best_architecture(major: int, minor: int) -> str:
    """The newest whose code a GPU of that compute capability runs. Raises UnsupportedError."""
    # Machine code runs on later GPUs of the same major number.
    numbers = [int(name.removeprefix("sm_")) for name in cuda_wheels.ARCHITECTURES]
    fitting = [one for one in numbers if one // 10 == major and one % 10 <= minor]
    # Made for one GPU alone: see `kernels`.
    fitting = [one for one in fitting if one != 120 or minor == 0]
    if not fitting:
        message = f"ggml's CUDA backend is not built for GPUs of compute capability {major}.{minor}"
        known = ", ".join(cuda_wheels.ARCHITECTURES)
        raise errors.UnsupportedError(message, hint=f"there is code for: {known}")
    return f"sm_{max(fitting)}"


def kernels(architecture: str, target: Target) -> Kernels:
    """The kernels for a GPU in a machine that `target` describes. Raises UnsupportedError."""
    machine = target.architecture or platform.machine()
    # Blackwell's 4-bit arithmetic belongs to one architecture alone, and ggml's code has it.
    compiled_as = f"{architecture}a" if architecture == "sm_120" else architecture
    return Kernels(architecture, machine, compiled_as, cuda_wheels.tools(architecture, machine))


def make(wanted: Kernels, progress: console.Progress = console.SILENT) -> Path:
    """`wanted.folder`, filled. Raises InternalError with a compiler's words.

    The sources must be there (`sources.fetch`). What was finished before an interruption is not
    compiled again.
    """
    target = wanted.folder
    waits = "waiting for another process that compiles ggml's CUDA kernels"
    with cache.made_once(target, on_wait=lambda: progress.say(waits)) as made:
        if made is not None:
            cuda_wheels.fetch(wanted.tools, progress)
            parts = target.with_name(f"parts-{target.name}")
            parts.mkdir(exist_ok=True)
            try:
                _compile_all(wanted, parts, progress)
            except ProgramFailedError as error:
                message = f"ggml's CUDA kernels do not compile:\n{error.completed.last_lines}"
                raise errors.InternalError(message) from error
            for part in parts.glob("*.o"):
                part.rename(made / part.name)
            # What was killed left more than these.
            shutil.rmtree(parts)
    return target


def sources_of(folder: Path) -> list[Path]:
    """The files to compile of ggml's CUDA backend in `folder`; those that take longest first."""
    found = [*folder.glob("*.cu"), *folder.glob("template-instances/*.cu")]
    kept = [path for path in found if path.name == _KEPT or not path.name.startswith(_LEFT_OUT)]
    if not kept:
        message = f"`{folder}` holds no CUDA"
        raise errors.InternalError(message)
    is_late = {path: path.parent == folder and path.name != "mmvq.cu" for path in kept}
    return sorted(kept, key=lambda path: (is_late[path], path.name))


def _compile_all(wanted: Kernels, parts: Path, progress: console.Progress) -> None:
    ggml = sources.folder(sources.SOURCES[SOURCE]) / "ggml"
    todo = sources_of(ggml / "src" / "ggml-cuda")

    def compile_one(source: Path) -> None:
        if not (parts / f"{source.stem}.o").is_file():
            compile_file(wanted, source, parts)

    with progress.step(f"compiling CUDA kernels for {wanted.architecture}", len(todo)) as step:
        pool = ThreadPoolExecutor(os.cpu_count() or 1)
        try:
            for _ in pool.map(compile_one, todo):
                step.advance()
        finally:
            pool.shutdown(cancel_futures=True)


def compile_file(wanted: Kernels, source: Path, into: Path) -> Path:
    """One object file in `into`, with the GPU's machine code inside. Raises ProgramFailedError."""
    with tempfile.TemporaryDirectory(prefix=".work-", dir=into) as work:
        ptx, cubin, packed, made = (
            Path(work) / name
            for name in ("kernels.ptx", "kernels.cubin", "kernels.fatbin", "whole.o")
        )
        device_library = str(wanted.tools.device_library)
        library = ("-Xclang", "-mlink-builtin-bitcode", "-Xclang", device_library)
        version = ("-Xclang", "-target-feature", "-Xclang", f"+{wanted.tools.ptx}")
        device = ("--cuda-device-only", "-S", *library, *version, *_FAST_DIVISION)
        _clang(wanted, source, ptx, device)
        assemble = (f"-arch={wanted.compiled_as}", "-O3", str(ptx), "-o", str(cubin))
        run([str(wanted.tools.assembler), *assemble], timeout_s=_TIMEOUT_S)
        packed.write_bytes(fatbin(cubin.read_bytes(), wanted))
        code = ("-Xclang", "-fcuda-include-gpubinary", "-Xclang", str(packed))
        sections = ("-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections")
        _clang(wanted, source, made, ("--cuda-host-only", "-c", *code, *sections))
        return made.rename(into / f"{source.stem}.o")


def _clang(wanted: Kernels, source: Path, made: Path, words: tuple[str, ...]) -> None:
    ggml = next(folder for folder in source.parents if folder.name == "src").parent
    include = (ggml / "include", ggml / "src", ggml / "src" / "ggml-cuda")
    system = [*_system_headers(wanted.machine, wanted.tools.clang_headers), _own_headers()]
    argv: list[str | Path] = [
        *(compilers.zig(), "clang", "--no-default-config", f"--target={wanted.machine}-linux-gnu"),
        *("-x", "cuda", f"--cuda-gpu-arch={wanted.compiled_as}", "-nocudainc", "-nocudalib"),
        *("-Xclang", "-target-sdk-version=12.9", "-include", "__clang_cuda_runtime_wrapper.h"),
        *("-nostdinc", "-nostdinc++", "-std=c++17", "-O3", "-w", *_FAST, *words),
        *(word for path in (*system, *wanted.tools.headers) for word in ("-isystem", path)),
        *(f"-I{path}" for path in include),
        *(f"-D{name}" for name in (*_zig_definitions(wanted.machine), *_DEFINITIONS)),
        *("-o", made, source),
    ]
    run(argv, timeout_s=_TIMEOUT_S, env=compilers.environment())


def _own_headers() -> Path:
    return resources.folder("native") / "src" / "engines" / "cuda_headers"


def _system_headers(machine: str, clang_headers: Path) -> list[Path]:
    """The headers that `zig c++ -target …-linux-gnu` uses; clang's for CUDA come before them."""
    library = compilers.zig().parent / "lib"
    libc = library / "libc" / "include"
    family = "x86" if machine == "x86_64" else machine
    return [
        clang_headers / "cuda_wrappers",
        *(library / "libcxx" / "include", library / "libcxxabi" / "include", clang_headers),
        *(libc / f"{family}-linux-gnu", libc / "generic-glibc"),
        *(libc / f"{family}-linux-any", libc / "any-linux-any"),
    ]


def _zig_definitions(machine: str) -> tuple[str, ...]:
    """What zig tells its C++ library, so that these objects and the rest of the runtime agree."""
    return (
        # NVIDIA's headers know clang's C++ library on ARM; elsewhere they ask for a word.
        *(("_ALLOW_UNSUPPORTED_LIBCPP",) if machine == "x86_64" else ()),
        # The oldest glibc of our targets.
        "__GLIBC_MINOR__=27",
        *("_LIBCPP_ABI_VERSION=1", "_LIBCPP_ABI_NAMESPACE=__1", "_LIBCPP_HAS_THREADS=1"),
        *("_LIBCPP_HAS_MONOTONIC_CLOCK", "_LIBCPP_HAS_MUSL_LIBC=0", "_LIBCPP_HAS_FILESYSTEM=1"),
        *("_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS=0", "_LIBCPP_HAS_RANDOM_DEVICE"),
        *("_LIBCPP_HAS_LOCALIZATION", "_LIBCPP_HAS_UNICODE", "_LIBCPP_HAS_WIDE_CHARACTERS"),
        *("_LIBCPP_HAS_TIME_ZONE_DATABASE", "_LIBCPP_PSTL_BACKEND_SERIAL"),
        *("_LIBCXXABI_DISABLE_VISIBILITY_ANNOTATIONS", "_LIBCPP_DISABLE_VISIBILITY_ANNOTATIONS"),
        "_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_NONE",
        "_LIBCPP_ASSERTION_SEMANTIC_DEFAULT=_LIBCPP_ASSERTION_SEMANTIC_IGNORE",
    )


def fatbin(cubin: bytes, wanted: Kernels) -> bytes:
    """NVIDIA's container with one file of machine code in it. Raises InternalError."""
    packer = ctypes.CDLL(str(wanted.tools.packer))
    handle, size = ctypes.c_void_p(), ctypes.c_size_t()
    # Not compressed: the oldest drivers that take the code do not know the newest compression.
    options = (ctypes.c_char_p * 2)(b"-64", b"-compress=false")
    _check(packer, packer.nvFatbinCreate(ctypes.byref(handle), options, ctypes.c_size_t(2)))
    try:
        number = wanted.compiled_as.removeprefix("sm_").encode()
        length = ctypes.c_size_t(len(cubin))
        _check(packer, packer.nvFatbinAddCubin(handle, cubin, length, number, b"kernels"))
        _check(packer, packer.nvFatbinSize(handle, ctypes.byref(size)))
        packed = ctypes.create_string_buffer(size.value)
        _check(packer, packer.nvFatbinGet(handle, packed))
        return packed.raw
    finally:
        packer.nvFatbinDestroy(ctypes.byref(handle))


def _check(packer: ctypes.CDLL, status: int) -> None:
    if status != 0:
        packer.nvFatbinGetErrorString.restype = ctypes.c_char_p
        message = f"NVIDIA's packer failed: {packer.nvFatbinGetErrorString(status).decode()}"
        raise errors.InternalError(message)
