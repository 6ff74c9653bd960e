"""Whether a bundle can run on a device as it is right now, and which runtime it needs there."""

from __future__ import annotations

from sphere_edge import console, errors
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.devices.probe import Probe
from sphere_edge.toolchain import compilers, targets

_SYSTEMS = {"android": "android", "linux": "linux", "darwin": "macos", "macos": "macos"}


def check(manifest: Manifest, probe: Probe, uri: str) -> None:
    """Raises FormatMismatchError (other machine code), OutOfMemoryError (does not fit now).

    Memory is not checked where the device does not tell how much is available.
    """
    _check_machine_code(manifest, probe, uri)
    needed, available = manifest.memory.peak_bytes, probe.memory_available_bytes
    if available is not None and needed > available:
        message = (
            f"`{manifest.name}` needs {console.human_bytes(needed)} at its peak, "
            f"{uri} has {console.human_bytes(available)} available right now"
        )
        hint = (
            "end other programs there, or package the model with a shorter --context or --quant q4"
        )
        raise errors.OutOfMemoryError(message, hint=hint)
    _check_gpu_memory(manifest, probe, uri)


def _check_gpu_memory(manifest: Manifest, probe: Probe, uri: str) -> None:
    """Raises OutOfMemoryError, OOM_VRAM, if the first choice is a GPU with too little memory."""
    needed, available = manifest.memory.gpu_bytes, probe.gpu_memory_available_bytes
    if manifest.backends[0] != "cpu" and available is not None and needed > available:
        message = (
            f"`{manifest.name}` needs {console.human_bytes(needed)} on the GPU, "
            f"that of {uri} has {console.human_bytes(available)} free right now"
        )
        hint = (
            "end what else uses the GPU, or package the model with a shorter --context, "
            "--quant q4, or for a profile that runs it on the CPU"
        )
        raise errors.OutOfMemoryError(message, hint=hint, code=errors.Status.OOM_VRAM)


def _check_machine_code(manifest: Manifest, probe: Probe, uri: str) -> None:
    target = manifest.target
    if manifest.engine in ("llama", "whisper", "diffusion") and not target.cpu_features:
        # A model file alone holds no machine code.
        return
    architecture, *rest = target.triple.split("-")
    architecture = "aarch64" if architecture.startswith("arm64") else architecture
    words = [word for word in rest for name in _SYSTEMS if word.startswith(name)]
    system = next((s for name, s in _SYSTEMS.items() if any(name in w for w in words)), "linux")
    again = f"package the model for a profile of {probe.model or uri}"
    if (architecture, system) != (probe.architecture, probe.os):
        message = (
            f"`{manifest.name}` was made for {architecture} {system}, "
            f"{uri} is {probe.architecture} {probe.os}"
        )
        raise errors.FormatMismatchError(message, hint=again)
    lacking = [name for name in target.cpu_features if name not in probe.cpu_features]
    if lacking:
        message = f"`{manifest.name}` needs CPU features that {uri} lacks: {', '.join(lacking)}"
        raise errors.FormatMismatchError(message, hint=again)


def runtime_target(probe: Probe, uri: str) -> targets.Target:
    """What the runtime is built for so that every instruction in it runs on the probed device.

    Raises UnsupportedError when there is none for it.
    """
    for family in _families(probe):
        if found := targets.best(family, probe.cpu_features):
            return found
    system = " ".join(filter(None, (probe.architecture, probe.os, probe.libc)))
    message = f"there is no runtime for {uri} ({system})"
    hint = "devices with Linux or Android on x86-64 or 64-bit ARM are supported"
    raise errors.UnsupportedError(message, hint=hint)


def _families(probe: Probe) -> list[str]:
    """The targets without their CPU levels, best first."""
    architecture = {"aarch64": "arm64", "x86_64": "x86-64"}.get(probe.architecture)
    # A static program needs nothing but the kernel, so it serves every C library.
    static = f"musl-{architecture}"
    if probe.os == "android":
        # The NDK's library is what apps get, too, so it is taken where it can be built.
        return [f"android-{architecture}", static] if compilers.has_ndk() else [static]
    if probe.os == "linux":
        return [f"linux-{architecture}", static] if probe.libc == "gnu" else [static]
    return []
