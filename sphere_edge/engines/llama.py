"""The llama engine: bundles of a GGUF as it is, requantized, or made of a safetensors model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from sphere_edge.bundle.manifest import ManifestDraft, Memory, Target, Text
from sphere_edge.engines import tokenizer_check
from sphere_edge.engines.clone_or_copy import clone_or_copy
from sphere_edge.engines.engine import BuildRequest, Built
from sphere_edge.engines.options import context_tokens
from sphere_edge.engines.provenance import provenance
from sphere_edge.errors import (
    FormatMismatchError,
    InvalidArgumentError,
    ModelCorruptError,
    UnsupportedError,
)
from sphere_edge.fit import memory
from sphere_edge.formats import generation, gguf, gguf_parts, image_encoder, quantized
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.gguf import GgufFile
from sphere_edge.formats.source import ModelSource
from sphere_edge.profiles import DeviceProfile
from sphere_edge.toolchain import quantizer

# Architectures that llama.cpp loads but that do not continue a text, and what they do.
_EMBEDS = "gives vectors for texts (an embedding model)"
_NOT_GENERATIVE = {
    **dict.fromkeys(
        (
            "bert",
            "eurobert",
            "gemma-embedding",
            "jina-bert-v2",
            "jina-bert-v3",
            "llama-embed",
            "modern-bert",
            "neo-bert",
            "nomic-bert",
            "nomic-bert-moe",
            "t5encoder",
        ),
        _EMBEDS,
    ),
    "wavtokenizer-dec": "makes sound of tokens",
}
# `enum llama_pooling_type`: what becomes of a text's vectors; 0 is none.
_POOLING_RANK = 4
# What a weight format of profiles is called among GGUFs, where rows are whole blocks of 256.
_USUAL = {"q4": "q4_k_m", "q8": "q8_0", "f16": "f16", "f32": "f32"}
_K_BLOCK = 256
_FLOATS = ("f16", "f32", "bf16")
TYPES = (*quantizer.TYPES, "f16", "f32")


def fit(request: BuildRequest) -> Callable[[], Built]:
    """As `Engine.fit`, of a GGUF or of a safetensors folder that becomes one."""
    source, options = request.source, request.options
    if options.quantization not in (None, *TYPES):
        message = f"a GGUF cannot have `{options.quantization}` weights"
        raise InvalidArgumentError(message, hint=f"choose one of: {', '.join(TYPES)}")
    if options.bits is not None:
        message = "--bits does not go with a GGUF"
        raise InvalidArgumentError(message, hint="--quant q5_k_m mixes formats there")
    if source.kind == "safetensors":
        return partial(_build, request, partial(_convert, request), ("gguf",))
    given = gguf.read(source.path)
    _check(given, source)
    if options.quantization is None:
        _predicted(source.name, given, request)
    return partial(_build, request, partial(_copy, given, request), ())


def _build(request: BuildRequest, fill: Callable[[], None], tools: tuple[str, ...]) -> Built:
    """The bundle's contents once `fill` has put the GGUF into the folder, made with `tools`."""
    source, profile, options = request.source, request.profile, request.options
    fill()
    if options.mmproj is not None:
        _copy_image_encoder(options.mmproj, request)
    path = min(request.writer.folder.glob("model*.gguf"))
    file = gguf.read(path)
    spec, choice, needed = _predicted(source.name, file, request)
    draft = ManifestDraft(
        name=source.name,
        task="text",
        engine="llama",
        family=file.architecture,
        quantization=file.quantization,
        parameters=file.parameters,
        profile=profile.name,
        target=_target(profile),
        text=Text(
            vocab_size=spec.vocab,
            context_tokens=choice.context_tokens,
            kv_dtype=choice.kv_dtype,
            sampling=generation.sampling_defaults(source.path)
            if source.kind == "safetensors"
            else generation.gguf_sampling_defaults(file.metadata),
            # A GGUF that we write has it inside.
            chat_template=options.chat_template if source.kind == "gguf" else None,
        ),
        memory=needed,
        provenance=provenance(source, tools, request.progress, options),
    )
    return Built(draft, partial(_check_by_runtime, request, path))


def _check_by_runtime(request: BuildRequest, path: Path) -> None:
    """UnsupportedError for an architecture that our llama.cpp does not know, by its name.

    ModelCorruptError where the tokenizer of a converted model is not the model's own.
    """
    from sphere_edge.runtime.library import model_info

    model_info(path)
    if request.source.kind == "safetensors":
        tokenizer_check.compare(request, path)


def _target(profile: DeviceProfile) -> Target:
    backend = profile.gguf_backends[0]
    gpu = profile.gpu.architecture if profile.gpu is not None and backend == "cuda" else None
    return Target(triple=profile.triple, backend=backend, gpu_architecture=gpu)


def _predicted(
    name: str, file: GgufFile, request: BuildRequest
) -> tuple[memory.ModelSpec, memory.Choice, Memory]:
    """The sizes, the choice of formats, and the memory they take; raises OutOfMemoryError."""
    profile, options = request.profile, request.options
    spec = _seeing(model_spec(name, file), file, options.mmproj)
    usual = profile.defaults.context_tokens
    context = context_tokens(options.context_tokens, usual, spec.context_tokens)
    choice = memory.Choice(file.quantization, context, options.kv_dtype or "float16")
    return spec, choice, memory.check(spec, choice, profile, profile.gguf_backends[0])


def _seeing(spec: memory.ModelSpec, file: GgufFile, mmproj: Path | None) -> memory.ModelSpec:
    """With the image encoder's sizes. Raises FormatMismatchError for another model's encoder."""
    if mmproj is None:
        return spec
    from sphere_edge.runtime.library import model_info

    info = model_info(mmproj)
    # Some models take vectors for several of their layers at once.
    width = (file.number("embedding_length") or 0) * (1 + (file.number("n_deepstack_layers") or 0))
    if info["embedding_size"] != width:
        message = (
            f"`{mmproj.name}` encodes images in {info['embedding_size']} numbers, "
            f"`{spec.name}` reads {width}"
        )
        raise FormatMismatchError(message, hint="give the mmproj file that belongs to the model")
    return replace(
        spec,
        image_encoder_bytes=info["weights_bytes"],
        image_workspace_bytes=info["workspace_bytes"],
    )


def _copy_image_encoder(path: Path, request: BuildRequest) -> None:
    file = image_encoder.opened(path)
    with request.progress.step("checking weights", file.weights_bytes, "bytes") as step:
        for count in gguf.check_finite(file):
            step.advance(count)
    clone_or_copy(path.resolve(), request.writer, "mmproj.gguf", request.progress)


def _copy(file: GgufFile, request: BuildRequest) -> None:
    """Puts a GGUF into the bundle, requantized if the options say so."""
    source, writer, wanted = request.source, request.writer, request.options.quantization
    with request.progress.step("checking weights", file.weights_bytes, "bytes") as step:
        for count in gguf.check_finite(file):
            step.advance(count)
    if wanted is None:
        for part, name in zip(file.parts, gguf_parts.named("model", len(file.parts)), strict=True):
            clone_or_copy(part.resolve(), writer, name, request.progress)
        return
    if wanted not in quantizer.TYPES:
        message = f"`{source.reference}` is a GGUF and cannot become `{wanted}`"
        raise InvalidArgumentError(message, hint=f"choose one of: {', '.join(quantizer.TYPES)}")
    if file.quantization not in _FLOATS:
        request.progress.warn(
            f"the weights of `{source.reference}` are `{file.quantization}` already: rounding them "
            f"again to {wanted} loses more than {wanted} of the original"
        )
    writer.require_space(file.weights_bytes)
    quantizer.quantize(source.path, writer.folder / "model.gguf", wanted, request.progress)


def _convert(request: BuildRequest) -> None:
    """Makes a GGUF of a safetensors model; by default in the profile's usual format."""
    # Imported here: a family needs the compiler's package, which takes seconds to load.
    from sphere_edge.engines import gguf_write, weights

    source, options, writer, progress = (
        request.source,
        request.options,
        request.writer,
        request.progress,
    )
    config = ModelConfig.read(source.path)
    checkpoint = weights.opened(source.path, config, options.adapter, progress)
    usual = request.profile.defaults.quantization
    wanted = options.quantization or _USUAL[usual]
    if options.quantization is None and config.take("hidden_size", int) % _K_BLOCK:
        wanted = {"q4_k_m": "q4_0"}.get(wanted, wanted)
    quantized.check_format(checkpoint, wanted)
    stored = sum(entry.bytes for entry in checkpoint.tensors.values())
    writer.require_space(2 * stored)
    model, dtype = writer.folder / "model.gguf", wanted if wanted in _FLOATS else None
    whole = model if dtype is not None else model.with_name("model.float.gguf")
    gguf_write.write(
        gguf_write.Conversion(source.path, config, checkpoint, dtype, options.chat_template),
        whole,
        progress,
    )
    if whole != model:
        quantizer.quantize(whole, model, wanted, progress)
        whole.unlink()


def model_spec(name: str, file: GgufFile) -> memory.ModelSpec:
    """The sizes in a GGUF's metadata; of a list per layer the largest counts.

    Raises ModelCorruptError naming a key that is missing or makes no sense.
    """

    def size(key: str, default: int | None = None) -> int:
        value = file.number(key) or default
        if value is None or value < 1:
            message = f"`{file.path.name}` has no sound `{file.architecture}.{key}`"
            raise ModelCorruptError(message, hint="download the model again")
        return value

    hidden, heads = size("embedding_length"), size("attention.head_count")
    head_dim = max(1, hidden // heads)
    return memory.ModelSpec(
        name=name,
        parameters=file.parameters,
        weights_bytes={file.quantization: file.weights_bytes},
        layers=size("block_count"),
        query_heads=heads,
        kv_heads=size("attention.head_count_kv", heads),
        key_dim=size("attention.key_length", head_dim),
        value_dim=size("attention.value_length", head_dim),
        hidden=hidden,
        intermediate=size("feed_forward_length", 4 * hidden),
        vocab=file.vocab_size or size("vocab_size"),
        context_tokens=size("context_length"),
    )


def _check(file: GgufFile, source: ModelSource) -> None:
    if (does := purpose(file)) is not None:
        message = f"`{source.reference}` (architecture `{file.architecture}`) {does}, not text"
        raise UnsupportedError(message)
    if not file.tensors or file.tokenizer is None or not file.vocab_size:
        lacks = "weights" if not file.tensors else "a tokenizer"
        message = f"`{source.reference}` is a GGUF without {lacks}"
        raise UnsupportedError(message, hint="choose the file with the whole model")
    name = file.metadata.get("general.name")
    if isinstance(name, str) and "\ufffd" in name:
        # The runtime describes the model in JSON, which has no other text.
        message = f"`general.name` of `{source.reference}` is not UTF-8 text"
        hint = "write it again with `gguf-new-metadata --general-name NAME` of the package gguf"
        raise ModelCorruptError(message, hint=hint)
    gguf.check_alignment(file)


def purpose(file: GgufFile) -> str | None:
    """What a GGUF model does instead of continuing texts, `gives vectors …`; None: it does that."""
    pooling = file.number("pooling_type") or 0
    if pooling == _POOLING_RANK:
        return "ranks texts (a reranker)"
    return _EMBEDS if pooling else _NOT_GENERATIVE.get(file.architecture)
