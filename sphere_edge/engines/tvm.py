"""The tvm engine: a safetensors model becomes compiled code, packed weights and a vocabulary."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from sphere_edge import console
from sphere_edge.bundle.manifest import ManifestDraft, RopeSwitch, Target, Text, Tvm
from sphere_edge.bundle.reference_plan import PASSAGE
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.compiler import kernels
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.console import Progress
from sphere_edge.engines import compiled_code, mixed, weights
from sphere_edge.engines.options import PackageOptions, context_tokens
from sphere_edge.engines.provenance import provenance
from sphere_edge.errors import ModelCorruptError
from sphere_edge.fit import memory as fit
from sphere_edge.formats import quantized, tokenizer
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.generation import sampling_defaults
from sphere_edge.formats.source import ModelSource
from sphere_edge.formats.tensors import Tensors
from sphere_edge.models.decoder import Decoder
from sphere_edge.models.graph import Limits
from sphere_edge.models.layers import BEYOND, weight_mappings
from sphere_edge.models.registry import Family, family
from sphere_edge.models.shape import Shape
from sphere_edge.models.weight_mapping import WeightMapping
from sphere_edge.profiles import DeviceProfile
from sphere_edge.quantization.weights import FORMATS, WeightFormat

# More tokens a call gain nothing on CPUs and cost workspace; score returns logits of every token.
_PREFILL_TOKENS = fit.PREFILL_TOKENS
_SCORE_TOKENS = 32
# Distributions whose version decides what the bundle's bytes are.
_TOOLS = ("apache-tvm", "apache-tvm-ffi", "ziglang")
_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


def build(
    source: ModelSource,
    profile: DeviceProfile,
    options: PackageOptions,
    writer: BundleWriter,
    progress: Progress,
) -> ManifestDraft:
    """Fills `writer.folder` from a safetensors folder and returns what the manifest says of it.

    What changes no number but may surprise is said through the console. Raises UnsupportedError
    (family, config key, CPU), ModelCorruptError (config, tensor, tokenizer), OutOfMemoryError (does
    not fit the profile), InvalidArgumentError (options), StorageError (full disk).
    """
    target = CpuTarget.of(profile.triple, profile.cpu.features)
    fmt = target.weight_format(options.quantization or profile.defaults.quantization)
    config = ModelConfig.read(source.path)
    longest = config.take("max_position_embeddings", int)
    context = context_tokens(options.context_tokens, profile.defaults.context_tokens, longest)
    checkpoint = weights.opened(source.path, config, options.adapter)
    quantized.check_format(checkpoint, fmt.name)
    made = _untied(family(config, context), checkpoint)
    quantization = fmt.name
    if options.bits is not None:
        mixed.check(options.bits, fmt.name)
        page = tokenizer.encode(source.path, PASSAGE)
        made, in_q8 = mixed.refine(made, checkpoint, page, options.bits, progress)
        quantization = mixed.NAME if in_q8 else quantization
    model: Decoder = made.model(made.config, kernels.for_target(target), fmt)
    needed = list(weight_mappings(model))
    _warn(made, weights.check(checkpoint, needed))

    choice = fit.Choice(quantization, context, options.kv_dtype or _kv_dtype(fmt))
    spec = _spec(source.name, model, needed, quantization)
    memory = fit.check(spec, choice, profile, profile.backends[0])
    writer.require_space(memory.weights_bytes)
    vocabulary = tokenizer.write_vocabulary(
        source.path, writer.folder / "tokenizer.gguf", options.chat_template
    )
    if vocabulary.size > model.shape.vocab:
        message = (
            f"the tokenizer has `{vocabulary.size}` tokens, the model only `{model.shape.vocab}`"
        )
        raise ModelCorruptError(message, hint="tokenizer and weights do not belong together")
    limits = Limits(
        context_tokens=context,
        prefill_tokens=min(_PREFILL_TOKENS, context),
        score_tokens=min(_SCORE_TOKENS, context),
        kv_dtype=choice.kv_dtype,
    )
    name = options.name or source.name
    lib = writer.folder / "lib"
    graph = compiled_code.for_cpu(model, limits, target, lib, name, progress)
    gpu = compiled_code.for_gpu(made, fmt, limits, profile, lib, name, progress)
    folder = writer.folder / "weights"
    folder.mkdir()
    weights.convert(checkpoint, needed, folder, progress)
    return ManifestDraft(
        name=name,
        task="text",
        engine="tvm",
        family=made.name,
        quantization=quantization,
        parameters=weights.parameters(needed),
        profile=profile.name,
        target=Target(
            triple=target.triple,
            cpu_features=target.cpu_features,
            backend=profile.backends[0] if gpu is not None else "cpu",
        ),
        text=Text(
            vocab_size=model.shape.vocab,
            context_tokens=context,
            kv_dtype=choice.kv_dtype,
            sampling=sampling_defaults(source.path),
        ),
        tvm=Tvm(
            parameters=graph.parameters,
            cache=graph.cache,
            prefill_tokens=limits.prefill_tokens,
            score_tokens=limits.score_tokens,
            gpu=gpu,
            rope_switch=rope_switch(model),
        ),
        memory=memory,
        provenance=provenance(source, _TOOLS, progress, options.adapter),
    )


def _untied(made: Family, checkpoint: Tensors) -> Family:
    """The family, with a head of its own where the checkpoint's differs from the embedding.

    Some checkpoints say tied and hold both; transformers 5 ties them only if they are the same.
    """
    shape: Shape = made.config.shape
    if not shape.tied or _HEAD not in checkpoint.tensors or _EMBEDDING not in checkpoint.tensors:
        return made
    if not weights.differ(checkpoint, _EMBEDDING, _HEAD):
        return made
    console.warn(f"`{_HEAD}` differs from the embedding it is said to be tied to; both are kept")
    return replace(made, config=replace(made.config, shape=replace(shape, tied=False)))


def _warn(made: Family, unused: tuple[str, ...]) -> None:
    if made.unread:
        console.warn(f"config.json has keys that are not understood: {', '.join(made.unread)}")
    left = [name for name in unused if name != _HEAD]
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        console.warn(f"tensors that the model does not use: {', '.join(left[:3])}{more}")


def _kv_dtype(fmt: WeightFormat) -> Any:
    """Half the memory where the weights are rounded anyway; exact where the user wants float32."""
    return "float32" if fmt.name == "f32" else "float16"


def rope_switch(model: Decoder) -> RopeSwitch | None:
    """For the runtime: LongRoPE rotates by other frequencies once a text is long."""
    rotation = model.rope.rotation
    if rotation.beyond is None:
        return None
    return RopeSwitch(
        tokens=rotation.switch_tokens,
        parameter="rope.inverse_frequencies",
        beyond=f"rope.{BEYOND}",
    )


def _spec(
    name: str, model: Decoder, needed: list[WeightMapping], quantization: str
) -> fit.ModelSpec:
    """The sizes that decide memory, as the weights are and in every format they could be had in."""
    shape, mixture = model.shape, model.mixture
    row_block = next(mapping.fmt.row_block for mapping in needed if mapping.fmt is not None)
    return fit.ModelSpec(
        name=name,
        parameters=weights.parameters(needed),
        weights_bytes={
            **{
                other: sum(
                    _stored_bytes(mapping, WeightFormat(other, row_block)) for mapping in needed
                )
                for other in FORMATS
            },
            quantization: sum(_stored_bytes(mapping, mapping.fmt) for mapping in needed),
        },
        layers=shape.layers,
        query_heads=shape.heads,
        kv_heads=shape.kv_heads,
        key_dim=shape.head_dim,
        value_dim=shape.head_dim,
        hidden=shape.hidden,
        intermediate=shape.intermediate if mixture is None else mixture.intermediate,
        experts_per_token=0 if mixture is None else mixture.top_k,
        vocab=shape.vocab,
        context_tokens=shape.context_tokens,
    )


def _stored_bytes(mapping: WeightMapping, fmt: WeightFormat | None) -> int:
    if fmt is None or mapping.fmt is None or mapping.columns is None or mapping.kept:
        arrays = [(shape, dtype) for _, dtype, shape in mapping.arrays()]
    else:
        arrays = list(fmt.parameters(mapping.rows, mapping.columns).values())
    return sum(prod(shape) * np.dtype(dtype).itemsize for shape, dtype in arrays)
