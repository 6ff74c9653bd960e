"""`sphere-edge inspect`: says what a model or bundle is, and which devices it fits."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from sphere_edge import console, fit, packaging, profiles
from sphere_edge.bundle import archive
from sphere_edge.bundle.manifest import Manifest, Memory, Quality
from sphere_edge.bundle.read import is_bundle, read_manifest
from sphere_edge.engines import diffusion_fit, whisper_fit
from sphere_edge.engines.llama import model_spec, purpose
from sphere_edge.engines.options import check_context
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.fit import Choice, Fit, ModelSpec
from sphere_edge.formats import diffusion, gguf, quantized, text_part, whisper
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.gguf import ArrayLength, GgufFile
from sphere_edge.formats.safetensors import Checkpoint
from sphere_edge.formats.source import Kind, ModelSource
from sphere_edge.models.registry import check_known
from sphere_edge.models.shape import Shape
from sphere_edge.quantization.weights import FORMATS
from sphere_edge.roofline import roofline

# Of a metadata value, in the table; --json has all of it.
_VALUE_WIDTH = 80
# Devices, each with the best format that fits there; None: none does.
_Best = list[tuple[profiles.DeviceProfile, str | None]]


def inspect(
    model: str,
    *,
    context_tokens: int | None,
    format: str | None,
    revision: str | None,
    as_json: bool,
) -> None:
    """Prints a bundle's manifest, or a model's sizes and how it fits each profile."""
    check_context(context_tokens)
    path = Path(model)
    if is_bundle(path) or (path.suffix == archive.SUFFIX and path.is_file()):
        _show_bundle(read_manifest(path), as_json)
        return
    if format not in (None, "safetensors", "gguf"):
        message = f"--format cannot be `{format}`"
        raise InvalidArgumentError(message, hint="choose one of: safetensors, gguf")
    source = packaging.find(
        model,
        wanted=cast("Kind | None", format),
        revision=revision,
        headers_only=True,
        progress=console.progress(),
    )
    if source.kind == "whisper":
        _show_whisper(source, as_json)
        return
    if source.kind == "diffusion":
        _show_image_model(source, as_json)
        return
    file = gguf.read(source.path) if source.kind == "gguf" else None
    if file is not None:
        beside: dict[str, Any] = {}
        family, spec = file.architecture, model_spec(source.name, file)
    else:
        family, spec, beside = _safetensors(source)
    fits = [
        _fit(spec, profiles.load(name), context_tokens, source.kind) for name in profiles.names()
    ]
    if as_json:
        told = {**_as_json(source, family, spec, fits), **beside}
        console.write_json(told if file is None else {**told, **_gguf_as_json(file)})
        return
    _show_model(source, family, spec, fits, beside.get("left_out"))
    if file is not None:
        _show_gguf(file)


def _show_whisper(source: ModelSource, as_json: bool) -> None:
    """Its sizes, and on which devices it fits in which format."""
    sizes = whisper_fit.sizes(source.path)
    languages = whisper.languages(sizes.vocab_size)
    fits: _Best = [(one, sizes.best(one)) for one in map(profiles.load, profiles.names())]
    smallest = min(sizes.weights_bytes, key=lambda name: sizes.weights_bytes[name])

    def memory(best: str | None) -> Memory:
        return sizes.memory(best or smallest)

    if as_json:
        told = {
            "name": source.name,
            "format": source.kind,
            "revision": source.revision,
            "family": "whisper",
            "parameters": sizes.parameters,
            "languages": languages,
            "weights_bytes": dict(sizes.weights_bytes),
            "fit": _best_as_json(fits, memory),
        }
        console.write_json(told)
        return
    layers = f"{sizes.audio_layers} that hear, {sizes.text_layers} that write, width {sizes.width}"
    rows = [
        ("model", source.name),
        ("format", source.kind),
        ("family", "whisper"),
        ("parameters", f"{sizes.parameters:,}"),
        ("layers", layers),
        ("languages", str(languages) if languages > 1 else "English only"),
        *((f"as {n}", console.human_bytes(size)) for n, size in sizes.weights_bytes.items()),
    ]
    console.write_table(("", ""), rows)
    _show_best(fits, memory, "NEEDS →")


def _show_image_model(source: ModelSource, as_json: bool) -> None:
    """The parts by their headers, and on which devices they fit in which format.

    The family is for the engine to find, which is not built here.
    """
    found = [
        {
            "part": part.kind,
            "path": str(part.path),
            "parameters": sum(map(math.prod, diffusion.shapes(part.path).values())),
            "bytes": part.path.stat().st_size,
        }
        for part in diffusion.parts(source.path)
    ]
    sizes = diffusion_fit.sizes(source.path)
    fits: _Best = [(one, sizes.fits(one)) for one in map(profiles.load, profiles.names())]

    def memory(best: str | None) -> Memory:
        return sizes.memory(best or "q4_K")

    if as_json:
        told = {
            "name": source.name,
            "format": "diffusion",
            "parts": found,
            "weights_bytes": dict(sizes.weights_bytes),
            "side": sizes.side,
            "fit": _best_as_json(fits, memory),
        }
        console.write_json(told)
        return
    rows = [
        (
            str(part["part"]),
            Path(str(part["path"])).name,
            f"{part['parameters']:,}",
            console.human_bytes(cast("int", part["bytes"])),
        )
        for part in found
    ]
    console.write_table(("PART", "FILE", "PARAMETERS →", "SIZE →"), rows)
    _show_best(fits, memory, f"{sizes.side}x{sizes.side} NEEDS →")


def _best_as_json(fits: _Best, memory: Callable[[str | None], Memory]) -> list[dict[str, Any]]:
    return [
        {
            "profile": profile.name,
            "usable_bytes": profile.memory.usable_bytes,
            "fits": best is not None,
            "quantization": best,
            "memory": memory(best).model_dump(mode="json"),
        }
        for profile, best in fits
    ]


def _show_best(fits: _Best, memory: Callable[[str | None], Memory], needs: str) -> None:
    console.write("")
    console.write_table(
        ("PROFILE", needs, "MAY USE →", "FITS"),
        [
            (
                profile.name,
                console.human_bytes(memory(best).peak_bytes),
                console.human_bytes(profile.memory.usable_bytes),
                best or "no",
            )
            for profile, best in fits
        ],
    )


def _safetensors(source: ModelSource) -> tuple[str, ModelSpec, dict[str, Any]]:
    """Family and sizes by config.json and the headers of the weights, without the compiler.

    Of a multimodal model those of its text part; the third says what is beside it.
    """
    config = ModelConfig.read(source.path)
    # Sizes of an unknown family would be guesses.
    check_known(config)
    shape = Shape.read(config)
    # As numbers: a packed matrix has fewer and other elements than weights.
    checkpoint = Checkpoint.open(source.path)
    tensors = quantized.opened(checkpoint, config).tensors.values()
    used = [t for t in tensors if not (shape.tied and t.name == "lm_head.weight")]
    matrices = sum(t.elements for t in used if len(t.shape) == 2)
    vectors = sum(t.elements for t in used if len(t.shape) != 2)
    # Experts that are in mxfp4 stay so.
    kept = sum(t.elements for t in used if len(t.shape) == 2 and t.dtype == "u8")
    kept_bytes = int(kept * FORMATS["mxfp4"] / 8)
    experts = config.take("num_experts_per_tok", int, 0)
    expert = config.take("moe_intermediate_size", int, shape.intermediate)
    spec = ModelSpec(
        name=source.name,
        parameters=matrices + vectors,
        weights_bytes={
            name: int((matrices - kept) * bits / 8) + kept_bytes + 4 * vectors
            for name, bits in FORMATS.items()
        },
        layers=shape.layers,
        query_heads=shape.heads,
        kv_heads=shape.kv_heads,
        key_dim=shape.head_dim,
        value_dim=shape.head_dim,
        hidden=shape.hidden,
        intermediate=expert if experts else shape.intermediate,
        experts_per_token=experts,
        vocab=shape.vocab,
        context_tokens=shape.context_tokens,
    )
    if config.wrapper is None:
        return config.model_type, spec, {}
    left_out = text_part.parts(checkpoint).note
    return config.model_type, spec, {"wrapper": config.wrapper, "left_out": left_out}


def _show_gguf(file: GgufFile) -> None:
    """What a GGUF says of itself: its purpose, the types of its weights, all metadata."""
    kinds = Counter(tensor.dtype.lower() for tensor in file.tensors.values())
    rows = [
        *([("purpose", f"it {does}, not text")] if (does := purpose(file)) else []),
        *([("files", str(len(file.parts)))] if len(file.parts) > 1 else []),
        ("tensors", ", ".join(f"{count} as {kind}" for kind, count in kinds.most_common())),
    ]
    console.write("")
    console.write_table(("", ""), rows)
    console.write("")
    # repr: a hostile text must not reach the terminal as it is.
    console.write_table(
        ("METADATA", "VALUE"),
        [(repr(key)[1:-1], _cut(value)) for key, value in sorted(file.metadata.items())],
    )


def _cut(value: object) -> str:
    if isinstance(value, ArrayLength):
        return f"{value.length:,} values"
    shown = repr(value)
    return shown if len(shown) <= _VALUE_WIDTH else f"{shown[: _VALUE_WIDTH - 1]}…"


def _gguf_as_json(file: GgufFile) -> dict[str, Any]:
    return {
        "quantization": file.quantization,
        "generates_text": purpose(file) is None,
        "parts": len(file.parts),
        "tensors": dict(Counter(tensor.dtype.lower() for tensor in file.tensors.values())),
        "metadata": {key: _plain(value) for key, value in file.metadata.items()},
    }


def _plain(value: Any) -> Any:
    """A metadata value for JSON, which knows neither infinity nor lists that were not kept."""
    if isinstance(value, ArrayLength):
        return {"length": value.length}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _fit(
    spec: ModelSpec, profile: profiles.DeviceProfile, context_tokens: int | None, kind: Kind
) -> Fit:
    usual = context_tokens or profile.defaults.context_tokens
    formats = tuple(spec.weights_bytes)
    quantization = profile.defaults.quantization if kind == "safetensors" else formats[0]
    choice = Choice(quantization, min(usual, spec.context_tokens), "float16")
    backends = profile.backends if kind == "safetensors" else profile.gguf_backends
    return fit.fit(spec, choice, profile, backends[0])


def _show_model(
    source: ModelSource, family: str, spec: ModelSpec, fits: list[Fit], left_out: str | None
) -> None:
    attention = f"{spec.query_heads} query and {spec.kv_heads} key heads of {spec.key_dim}"
    rows = [
        ("model", source.name),
        ("format", source.kind),
        ("family", family),
        ("parameters", f"{spec.parameters:,}"),
        *([("left out", left_out)] if left_out is not None else []),
        ("layers", f"{spec.layers}, {attention}, hidden {spec.hidden}"),
        ("vocabulary", f"{spec.vocab:,}"),
        ("context", f"{spec.context_tokens:,} tokens"),
        *((f"as {n}", console.human_bytes(size)) for n, size in spec.weights_bytes.items()),
    ]
    console.write_table(("", ""), rows)
    console.write("")
    console.write_table(
        (
            "PROFILE",
            "WEIGHTS",
            "CONTEXT →",
            "NEEDS →",
            "MAY USE →",
            "ON THE GPU →",
            "FITS",
            "LONGEST CONTEXT →",
            "DECODE ≤",
            "PREFILL ≤",
        ),
        [
            (
                one.profile.name,
                one.choice.quantization,
                str(one.choice.context_tokens),
                console.human_bytes(one.memory.peak_bytes),
                console.human_bytes(one.profile.memory.usable_bytes),
                _on_gpu(one),
                "yes" if one.fits else "no",
                str(one.longest_context) if one.longest_context else "-",
                *_speeds(family, spec, one),
            )
            for one in fits
        ],
    )


def _on_gpu(one: Fit) -> str:
    """What it takes of the GPU's own memory, and how much it may."""
    if one.gpu_room_bytes is None:
        return "-"
    needed, room = (
        console.human_bytes(size) for size in (one.memory.gpu_bytes, one.gpu_room_bytes)
    )
    return f"{needed} of {room}"


def _speeds(family: str, spec: ModelSpec, one: Fit) -> tuple[str, str]:
    """What the device could do at most, in tokens per second."""
    if not one.fits:
        return "-", "-"
    bounds = roofline(family, spec, one.choice, one.profile)
    shown = [f"{value:,.0f} t/s" if value else "-" for value in (bounds.decode, bounds.prefill)]
    return shown[0], shown[1]


def _as_json(source: ModelSource, family: str, spec: ModelSpec, fits: list[Fit]) -> dict[str, Any]:
    return {
        "name": source.name,
        "format": source.kind,
        "revision": source.revision,
        "family": family,
        "parameters": spec.parameters,
        "layers": spec.layers,
        "vocab_size": spec.vocab,
        "context_tokens": spec.context_tokens,
        "weights_bytes": dict(spec.weights_bytes),
        "fit": [
            {
                "profile": one.profile.name,
                "quantization": one.choice.quantization,
                "context_tokens": one.choice.context_tokens,
                "kv_dtype": one.choice.kv_dtype,
                "memory": one.memory.model_dump(mode="json"),
                "usable_bytes": one.profile.memory.usable_bytes,
                "gpu_bytes": None if one.gpu_room_bytes is None else one.memory.gpu_bytes,
                "gpu_room_bytes": one.gpu_room_bytes,
                "fits": one.fits,
                "longest_context": one.longest_context,
                "roofline": dataclasses.asdict(roofline(family, spec, one.choice, one.profile)),
            }
            for one in fits
        ],
    }


def _show_bundle(manifest: Manifest, as_json: bool) -> None:
    if as_json:
        console.write_json(manifest.model_dump(mode="json"))
        return
    text = manifest.text
    memory = manifest.memory
    features = ", ".join(manifest.target.cpu_features) or "any"
    rows = [
        ("bundle", manifest.name),
        ("id", manifest.id),
        ("made for", f"{manifest.profile} ({manifest.target.triple}, CPU features: {features})"),
        ("made from", f"{manifest.provenance.source} {manifest.provenance.revision or ''}".strip()),
        ("engine", f"{manifest.engine} on {manifest.target.backend}"),
        ("family", manifest.family),
        ("parameters", f"{manifest.parameters:,} as {manifest.quantization}"),
        *([("context", f"{text.context_tokens:,} tokens, KV {text.kv_dtype}")] if text else []),
        ("memory", f"{console.human_bytes(memory.peak_bytes)} at its peak"),
        *([("quality", _quality(manifest.quality))] if manifest.quality else []),
    ]
    console.write_table(("", ""), rows)
    console.write("")
    console.write_table(
        ("FILE", "ROLE", "SIZE →", "SHA256"),
        [(f.path, f.role, console.human_bytes(f.bytes), f.sha256) for f in manifest.files],
    )


def _quality(quality: Quality) -> str:
    return (
        f"KL divergence {quality.kl_divergence:g} nats, perplexity {quality.perplexity:g} instead "
        f"of {quality.reference_perplexity:g}, same likeliest token in "
        f"{100 * quality.top1_agreement:.2f} % ({quality.predictions:,} predictions, "
        f"{quality.text}, against {quality.reference})"
    )
