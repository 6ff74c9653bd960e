"""A text model: its shape and sizes, and how it fits each device with what context and speed."""

from __future__ import annotations

import dataclasses
from typing import Any

from sphere_edge import profiles
from sphere_edge.console import human_bytes
from sphere_edge.engines.llama import model_spec
from sphere_edge.fit import memory as fit
from sphere_edge.fit.memory import Choice, Fit, ModelSpec
from sphere_edge.fit.roofline import Roofline, roofline
from sphere_edge.formats import gguf, quantized, text_part
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.safetensors import Checkpoint
from sphere_edge.formats.source import ModelSource
from sphere_edge.formats.wanted import Kind
from sphere_edge.inspection import gguf_header
from sphere_edge.inspection.description import Description, Table, facts
from sphere_edge.models.registry import check_known
from sphere_edge.models.shape import Shape
from sphere_edge.quantization import mixed_bits
from sphere_edge.quantization.weights import FORMATS

_MAY_MIX = "q4 as below, or some of it as q8, where packaging measures that q4 costs too much"


@dataclasses.dataclass(frozen=True)
class Use:
    """How a model is to be used; `context_tokens` None: each profile's own.

    `sequences`: conversations at once, each with that context. `draft`: a model that drafts for it.
    """

    context_tokens: int | None = None
    sequences: int = 1
    draft: ModelSource | None = None


def describe(source: ModelSource, use: Use) -> Description:
    """Of a GGUF or a safetensors folder.

    Raises what reading it does, and UnsupportedError for a family that is not known.
    """
    if source.kind == "gguf":
        file = gguf.read(source.path)
        spec = model_spec(source.name, file)
        fits = _fits(spec, source.kind, use)
        described = _described(_Model(source, file.architecture, spec), fits, None)
        return Description(
            described.tables + gguf_header.tables(file),
            {**described.as_json, **gguf_header.as_json(file)},
        )
    family, spec, beside = _safetensors(source)
    fits = _fits(spec, source.kind, use)
    described = _described(_Model(source, family, spec), fits, beside.get("left_out"))
    return dataclasses.replace(described, as_json={**described.as_json, **beside})


@dataclasses.dataclass(frozen=True)
class _Model:
    source: ModelSource
    family: str
    spec: ModelSpec


def _described(model: _Model, fits: list[Fit], left_out: str | None) -> Description:
    source, family, spec = model.source, model.family, model.spec
    tables = (_facts(source, family, spec, left_out), _fit_table(family, spec, fits))
    return Description(tables, _as_json(source, family, spec, fits))


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
        is_compiled=True,
    )
    if config.wrapper is None:
        return config.model_type, spec, {}
    left_out = text_part.parts(checkpoint).note
    return config.model_type, spec, {"wrapper": config.wrapper, "left_out": left_out}


def _fits(spec: ModelSpec, kind: Kind, use: Use) -> list[Fit]:
    """On every device."""
    fits = []
    draft = None if use.draft is None else _spec(use.draft)
    for profile in map(profiles.load, profiles.names()):
        is_compiled = kind == "safetensors"
        defaults = profile.defaults
        quantization = defaults.quantization if is_compiled else next(iter(spec.weights_bytes))
        context = min(use.context_tokens or defaults.context_tokens, spec.context_tokens)
        choice = Choice(quantization, context, "float16", use.sequences)
        backends = profile.backends if is_compiled else profile.gguf_backends
        one = fit.fit(spec, choice, profile, backends[0])
        fits.append(one if draft is None else fit.with_draft(one, spec, draft))
    return fits


def _spec(source: ModelSource) -> ModelSpec:
    if source.kind == "gguf":
        return model_spec(source.name, gguf.read(source.path))
    return _safetensors(source)[1]


def _may_mix(kind: Kind, spec: ModelSpec) -> bool:
    """Whether packaging may give some matrices more bits than the table assumes."""
    has_experts = spec.experts_per_token > 0
    return kind == "safetensors" and mixed_bits.is_measured(
        spec.parameters, has_experts=has_experts
    )


def _facts(source: ModelSource, family: str, spec: ModelSpec, left_out: str | None) -> Table:
    attention = f"{spec.query_heads} query and {spec.kv_heads} key heads of {spec.key_dim}"
    return facts(
        [
            ("model", source.name),
            ("format", source.kind),
            ("family", family),
            ("parameters", f"{spec.parameters:,}"),
            *([("left out", left_out)] if left_out is not None else []),
            ("layers", f"{spec.layers}, {attention}, hidden {spec.hidden}"),
            ("vocabulary", f"{spec.vocab:,}"),
            ("context", f"{spec.context_tokens:,} tokens"),
            *((f"as {name}", human_bytes(size)) for name, size in spec.weights_bytes.items()),
            *([("without --quant", _MAY_MIX)] if _may_mix(source.kind, spec) else []),
        ]
    )


def _fit_table(family: str, spec: ModelSpec, fits: list[Fit]) -> Table:
    return Table(
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
                human_bytes(one.memory.peak_bytes),
                human_bytes(one.profile.memory.usable_bytes),
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
    needed, room = (human_bytes(size) for size in (one.memory.gpu_bytes, one.gpu_room_bytes))
    return f"{needed} of {room}"


def _speeds(family: str, spec: ModelSpec, one: Fit) -> tuple[str, str]:
    """What the device could do at most, in tokens per second."""
    if not one.fits:
        return "-", "-"
    bounds = _bounds(family, spec, one)
    shown = [f"{value:,.0f} t/s" if value else "-" for value in (bounds.decode, bounds.prefill)]
    return shown[0], shown[1]


def _bounds(family: str, spec: ModelSpec, one: Fit) -> Roofline:
    """Of one conversation alone."""
    return roofline(family, spec, dataclasses.replace(one.choice, sequences=1), one.profile)


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
        "may_mix": _may_mix(source.kind, spec),
        "fit": [
            {
                "profile": one.profile.name,
                "quantization": one.choice.quantization,
                "context_tokens": one.choice.context_tokens,
                "kv_dtype": one.choice.kv_dtype,
                "sequences": one.choice.sequences,
                "memory": one.memory.model_dump(mode="json"),
                "usable_bytes": one.profile.memory.usable_bytes,
                "gpu_bytes": None if one.gpu_room_bytes is None else one.memory.gpu_bytes,
                "gpu_room_bytes": one.gpu_room_bytes,
                "fits": one.fits,
                "longest_context": one.longest_context,
                "roofline": dataclasses.asdict(_bounds(family, spec, one)),
            }
            for one in fits
        ],
    }
