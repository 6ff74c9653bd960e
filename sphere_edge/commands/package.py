"""`sphere-edge package`: turns a model into a bundle that fits a device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from sphere_edge import console
from sphere_edge.bundle.manifest import ManifestDraft
from sphere_edge.engines import diffusion_fit
from sphere_edge.engines.llama import TYPES
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import InvalidArgumentError, NotFoundError, StorageError
from sphere_edge.formats import whisper_write
from sphere_edge.formats.wanted import Kind
from sphere_edge.packaging.pipeline import Packaged
from sphere_edge.packaging.request import PackageRequest, package_model
from sphere_edge.profiles import DeviceProfile
from sphere_edge.quantization.weights import FORMATS

_KV: dict[str, Literal["float16", "float32"]] = {"f16": "float16", "f32": "float32"}
_TEMPLATE_LIMIT_BYTES = 2**20


@dataclass(frozen=True)
class Flags:
    """What of the command line is checked here and becomes a part of request and options."""

    kv: str | None = None
    format: str | None = None
    chat_template: Path | None = None


def package(
    request: PackageRequest, options: PackageOptions, flags: Flags, *, as_json: bool
) -> None:
    """Checks every flag before anything is fetched or built, then packages and says what is."""
    if options.quantization is not None:
        known = (
            *(*FORMATS, *TYPES),
            *(*whisper_write.QUANTIZATIONS, *diffusion_fit.QUANTIZATIONS),
        )
        _one_of("--quant", options.quantization, tuple(dict.fromkeys(known)))
    if flags.kv is not None:
        _one_of("--kv", flags.kv, tuple(_KV))
    if flags.format is not None:
        _one_of("--format", flags.format, ("safetensors", "gguf"))
    template = flags.chat_template
    options = replace(
        options,
        kv_dtype=_KV[flags.kv] if flags.kv is not None else None,
        chat_template=_template(template) if template is not None else None,
        as_gguf=flags.format == "gguf",
    )
    request = replace(request, format=cast("Kind | None", flags.format))
    made, profile = package_model(request, options, console.progress())
    if as_json:
        console.write_json(_as_json(made))
    else:
        _say(made, profile)


def _say(made: Packaged, profile: DeviceProfile) -> None:
    manifest = made.bundle.manifest
    memory = manifest.memory
    size = console.human_bytes(manifest.total_bytes)
    console.say(
        f"{manifest.name}: {manifest.family}, {manifest.parameters:,} parameters as "
        f"{manifest.quantization}, for {profile.title}"
    )
    console.say(f"  on disk    {size} in {len(manifest.files)} files, {made.seconds:.1f} s")
    console.say(
        f"  in memory  {console.human_bytes(memory.peak_bytes)} at its peak: "
        f"weights {console.human_bytes(memory.weights_bytes)}, "
        f"KV cache {console.human_bytes(memory.kv_cache_bytes)}, "
        f"workspace {console.human_bytes(memory.workspace_bytes)}"
    )
    if (used := processor(manifest, profile)) is not None:
        console.say(f"  runs on    {used}")
    if made.tried_here and manifest.task == "audio":
        console.say(f"next: sphere-edge transcribe {made.output} FILE")
    elif made.tried_here and manifest.task == "image":
        console.say(f'next: sphere-edge generate-image "…" {made.output}')
    elif made.tried_here:
        console.say(f'next: sphere-edge run {made.output} "…", or bench {made.output}')
    else:
        console.say(f"next: sphere-edge verify {made.output} (it runs on {profile.name} only)")
    console.write(str(made.output))


def processor(manifest: ManifestDraft, profile: DeviceProfile) -> str | None:
    """Whether the bundle uses the device's GPU, for people; None where there is none."""
    if profile.gpu is None:
        return None
    name, gpu = profile.gpu.name, manifest.tvm.gpu if manifest.tvm is not None else None
    if manifest.ggml_gpu is not None:
        return f"{name}, through ggml's {manifest.ggml_gpu}; the CPU where that fails"
    if gpu is None:
        return f"the CPU: {name} is not used yet"
    through = f"{name}, through {gpu.backend} in {gpu.arithmetic}"
    if manifest.target.backend == "cpu":
        return f"the CPU; {through}, with --backend"
    return f"{through}; the CPU where that fails"


def _as_json(made: Packaged) -> dict[str, object]:
    manifest = made.bundle.manifest
    return {
        "path": str(made.output),
        "id": manifest.id,
        "name": manifest.name,
        "profile": manifest.profile,
        "engine": manifest.engine,
        "family": manifest.family,
        "quantization": manifest.quantization,
        "parameters": manifest.parameters,
        "bytes": manifest.total_bytes,
        "memory": manifest.memory.model_dump(mode="json"),
        "seconds": made.seconds,
        "tried_here": made.tried_here,
    }


def _one_of(flag: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        message = f"invalid value `{value}` for {flag}"
        raise InvalidArgumentError(message, hint=f"choose one of: {', '.join(known)}")


def _template(path: Path) -> str:
    if not path.is_file():
        message = f"there is no chat template `{path}`"
        raise NotFoundError(message, hint="--chat-template takes a file with a Jinja template")
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"`{path}` cannot be read: {error.strerror}"
        raise StorageError(message) from error
    if len(content) > _TEMPLATE_LIMIT_BYTES:
        message = f"the chat template `{path}` has {len(content)} bytes"
        raise InvalidArgumentError(message, hint=f"at most {_TEMPLATE_LIMIT_BYTES} are allowed")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        message = f"the chat template `{path}` is not UTF-8 text"
        raise InvalidArgumentError(message) from error
