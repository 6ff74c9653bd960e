"""ggml's own backends for GPUs, which GGUF models run on: which there are, and what they need."""

from __future__ import annotations

import functools
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sphere_edge import errors
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.console import Progress
from sphere_edge.profiles.backends import GPU_APIS
from sphere_edge.toolchain import ggml_cuda, vulkan_shaders
from sphere_edge.toolchain.targets import Target

_STATIC = (
    "a program that is one static file loads no driver; with the NDK (`ANDROID_NDK_HOME`) phones "
    "get one that does"
)
_VULKAN_HINT = (
    "install them (Debian: apt-get install glslc libvulkan-dev spirv-headers), or set "
    "VULKAN_SDK to the folder of an SDK"
)


def _nothing(progress: Progress) -> None:
    """Most backends come as sources alone."""


@dataclass(frozen=True)
class Parts:
    """What one backend adds to a build: cmake's words, folders, sources, and what is pinned."""

    definitions: dict[str, str]
    folders: dict[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    pins: dict[str, str] = field(default_factory=dict)
    # Makes what `folders` name, once the sources are there.
    prepare: Callable[[Progress], object] = field(default=_nothing, compare=False)


def wanted(path: Path, manifest: Manifest | None, backend: str | None) -> str | None:
    """The backend that the model at `path` wants of the runtime; None: the CPU's or another's.

    `manifest` None: no bundle. `backend`: what was asked for; None: the bundle's own choice.
    """
    if backend is None:
        return manifest.ggml_gpu if manifest is not None else None
    is_gguf = manifest.engine == "llama" if manifest is not None else path.suffix == ".gguf"
    if not is_gguf or backend not in GPU_APIS:
        return None
    own = manifest.ggml_gpu if manifest is not None else None
    return own if own is not None and own.partition(":")[0] == backend else backend


def require_device(name: str) -> None:
    """Raises NotFoundError where this machine has no GPU that a build would serve.

    CUDA's takes half an hour, and Adrenos are in machines with ARM alone. The others are built in a
    minute or two, and find out themselves.
    """
    if name.partition(":")[0] == "cuda":
        ggml_cuda.architecture_here()
    if name == "opencl" and platform.machine() != "aarch64":
        message = f"ggml's OpenCL is for Adreno, and this machine is `{platform.machine()}`"
        raise errors.NotFoundError(message)


def parts(name: str, target: Target) -> Parts:
    """What the backend `name` adds to a runtime for `target`.

    `cuda:sm_87` is CUDA for that GPU; `cuda` for the one in this machine. Raises
    InvalidArgumentError (no such backend), UnsupportedError (not for this target) and NotFoundError
    (tools of this machine that are missing).
    """
    name, _, architecture = name.partition(":")
    if name not in GPU_APIS:
        message = f"no such backend of ggml: `{name}`"
        raise errors.InvalidArgumentError(message, hint=f"choose one of: {', '.join(GPU_APIS)}")
    is_apple = target.system in ("macos", "ios")
    is_phone_with_cuda = name == "cuda" and target.system != "linux"
    if is_apple != (name == "metal") or target.is_static or is_phone_with_cuda:
        message = f"the runtime for `{target.name}` has no `{name}`"
        why = _STATIC if target.is_static else None
        raise errors.UnsupportedError(message, hint=why)
    definitions: dict[str, str] = {"SE_GGML_GPU": name}
    # The others' sources lie among llama.cpp's own, and what they load is found on the device.
    if name == "cuda":
        return _cuda(definitions, architecture or ggml_cuda.architecture_here(), target)
    return _vulkan(definitions) if name == "vulkan" else Parts(definitions)


def _cuda(definitions: dict[str, str], architecture: str, target: Target) -> Parts:
    kernels = ggml_cuda.kernels(architecture, target)
    return Parts(
        {**definitions, "SE_CUDA_ARCHITECTURE": kernels.compiled_as},
        folders={
            "SE_CUDA_KERNELS_DIR": str(kernels.folder),
            "SE_CUDA_RUNTIME": str(kernels.tools.runtime_library),
        },
        sources=(ggml_cuda.SOURCE,),
        pins={"kernels": kernels.folder.name},
        prepare=functools.partial(ggml_cuda.make, kernels),
    )


def _vulkan(definitions: dict[str, str]) -> Parts:
    glslc, headers = _glslc(), _headers()
    shaders = vulkan_shaders.folder(vulkan_shaders.version(glslc))
    return Parts(
        definitions,
        folders={
            "SE_VULKAN_INCLUDE_DIR": str(headers),
            "SE_VULKAN_SHADERS_DIR": str(shaders),
        },
        sources=("ggml_vulkan",),
        pins={"shaders": shaders.name, "vulkan": _version(headers)},
        prepare=functools.partial(vulkan_shaders.make, glslc),
    )


def _glslc() -> Path:
    sdk = os.environ.get("VULKAN_SDK")
    found = shutil.which("glslc", path=f"{sdk}/bin" if sdk else None) or shutil.which("glslc")
    if found is None:
        message = "building with Vulkan needs the shader compiler `glslc`"
        raise errors.NotFoundError(message, hint=_VULKAN_HINT)
    return Path(found)


def _headers() -> Path:
    sdk = os.environ.get("VULKAN_SDK")
    places = [Path(sdk) / "include"] if sdk else []
    for place in (*places, Path("/usr/include"), Path("/usr/local/include")):
        needed = ("vulkan/vulkan.hpp", "spirv/unified1/spirv.hpp")
        if all((place / name).is_file() for name in needed):
            return place
    message = "building with Vulkan needs the headers of Vulkan and SPIR-V"
    raise errors.NotFoundError(message, hint=_VULKAN_HINT)


def _version(headers: Path) -> str:
    """The line of Vulkan's header that tells its version."""
    text = (headers / "vulkan" / "vulkan_core.h").read_text("utf-8", "replace")
    lines = (line for line in text.splitlines() if "VK_HEADER_VERSION " in line)
    return next(lines, "")
