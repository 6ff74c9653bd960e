"""The tvm engine: a safetensors model becomes compiled code, packed weights and a vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from sphere_edge import resources
from sphere_edge.bundle import reference as references
from sphere_edge.bundle.manifest import ManifestDraft, Memory, RopeSwitch, Target, Text, Tvm
from sphere_edge.bundle.reference_plan import REFERENCE_TEXT
from sphere_edge.compiler import kernels
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.engines import (
    compiled_code,
    family_of_weights,
    mixed,
    reference,
    tokenizer_check,
    weights,
)
from sphere_edge.engines.calibration import Source
from sphere_edge.engines.engine import BuildRequest, Built
from sphere_edge.engines.options import context_tokens
from sphere_edge.engines.provenance import provenance
from sphere_edge.errors import ModelCorruptError
from sphere_edge.fit import memory
from sphere_edge.formats import quantized, tokenizer
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.generation import sampling_defaults
from sphere_edge.formats.tensors import Tensors
from sphere_edge.models.decoder import Decoder
from sphere_edge.models.graph import Limits
from sphere_edge.models.layers import BEYOND, weight_mappings
from sphere_edge.models.registry import Family, family
from sphere_edge.models.weight_mapping import WeightMapping
from sphere_edge.quantization import mixed_bits
from sphere_edge.quantization.weights import FORMATS, WeightFormat

# More tokens a call gain nothing on CPUs and cost workspace; score returns logits of every token.
_PREFILL_TOKENS = memory.PREFILL_TOKENS
_SCORE_TOKENS = 32
# Distributions whose version decides what the bundle's bytes are.
_TOOLS = ("apache-tvm", "apache-tvm-ffi", "numpy")
# Of the memory that a model may take, what matrices in q8 leave: room for other parts of an app.
_LEFT_FREE = 0.1
_VOCABULARY, _WEIGHTS = "tokenizer.gguf", "weights"


def fit(request: BuildRequest) -> Callable[[], Built]:
    """As `Engine.fit`, of a safetensors folder.

    What changes no number but may surprise is reported as a warning.
    """
    source, profile, options, progress = (
        request.source,
        request.profile,
        request.options,
        request.progress,
    )
    target = CpuTarget.of(profile.triple, profile.cpu.features)
    fmt = target.weight_format(options.quantization or profile.defaults.quantization)
    config = ModelConfig.read(source.path)
    longest = config.take("max_position_embeddings", int)
    context = context_tokens(options.context_tokens, profile.defaults.context_tokens, longest)
    checkpoint = weights.opened(source.path, config, options.adapter, progress)
    quantized.check_format(checkpoint, fmt.name)
    made = family_of_weights.untied(family(config, context), checkpoint, progress)
    if options.bits is not None:
        mixed.check(options.bits, fmt.name)
    model = made.build(kernels.for_target(target), fmt)
    mappings = list(weight_mappings(model))
    family_of_weights.warn(made, weights.check(checkpoint, mappings), progress)
    choice = memory.Choice(fmt.name, context, options.kv_dtype or _kv_dtype(fmt))
    limits = Limits(
        context_tokens=context,
        prefill_tokens=min(_PREFILL_TOKENS, context),
        score_tokens=min(_SCORE_TOKENS, context),
        kv_dtype=choice.kv_dtype,
        decode_sequences=memory.DECODE_SEQUENCES,
    )
    spec = _spec(source.name, model, mappings, fmt.name)
    fitted = _Fitted(
        request=request,
        target=target,
        fmt=fmt,
        config=config,
        family=made,
        model=model,
        checkpoint=checkpoint,
        mappings=mappings,
        choice=choice,
        limits=limits,
        needed=memory.check(spec, choice, profile, profile.backends[0]),
    )
    fitted.check_bits(spec)
    return fitted.build


@dataclass(frozen=True)
class _Fitted:
    """A model that fits the device, with all that its parts are made of."""

    request: BuildRequest
    target: CpuTarget
    fmt: WeightFormat
    config: ModelConfig
    family: Family
    model: Decoder
    checkpoint: Tensors
    mappings: list[WeightMapping]
    choice: memory.Choice
    limits: Limits
    needed: Memory

    def check_bits(self, spec: memory.ModelSpec) -> None:
        """Memory for `--bits`, of which `spec` has what q4 takes; raises as memory.check."""
        bits, profile = self.request.options.bits, self.request.profile
        if bits is None:
            return
        in_q8 = self._with(mixed.all_in_q8(self.family), mixed_bits.NAME)[1].weights_bytes[
            mixed_bits.NAME
        ]
        size = mixed.bytes_of(bits, spec.weights_bytes[self.fmt.name], in_q8)
        asked = replace(spec, weights_bytes={**spec.weights_bytes, mixed_bits.NAME: size})
        choice = replace(self.choice, quantization=mixed_bits.NAME)
        memory.check(asked, choice, profile, profile.backends[0])

    def build(self) -> Built:
        """Fills the bundle's folder with code, weights and vocabulary."""
        request, vocab = self.request, self.model.shape.vocab
        request.writer.require_space(self.needed.weights_bytes)
        vocabulary = tokenizer.write_vocabulary(
            request.source.path,
            request.writer.folder / _VOCABULARY,
            request.options.chat_template,
        )
        if vocabulary.size > vocab:
            message = f"the tokenizer has `{vocabulary.size}` tokens, the model only `{vocab}`"
            raise ModelCorruptError(message, hint="tokenizer and weights do not belong together")
        return self._refined()._filled(vocabulary.size)

    def _refined(self) -> _Fitted:
        """The same as `--bits` asks for, or without a flag as the model needs."""
        request = self.request
        source = Source(self.family, self.checkpoint)
        if request.options.bits is not None:
            bits = request.options.bits
            refined = mixed.to_bits(source, self._texts(), bits, request.progress)
        elif self._is_measured():
            found = mixed.to_target(source, self._texts(), self._leaves_room, request.progress)
            if found is None:
                return self
            refined = found
        else:
            return self
        made, spec = self._with(refined.family, refined.quantization)
        profile = request.profile
        needed = memory.check(spec, made.choice, profile, profile.backends[0])
        return replace(made, checkpoint=refined.checkpoint, needed=needed)

    def _is_measured(self) -> bool:
        """Where nobody asked for a format, and what a user gains is worth the time."""
        if self.request.options.quantization is not None or self.fmt.name != "q4":
            return False
        parameters = weights.parameters(self.mappings)
        return mixed_bits.is_measured(parameters, has_experts=self.model.mixture is not None)

    def _leaves_room(self, family: Family) -> bool:
        profile = self.request.profile
        made, spec = self._with(family, mixed_bits.NAME)
        found = memory.fit(spec, made.choice, profile, profile.backends[0])
        return found.leaves(_LEFT_FREE) and compiled_code.fits_buffers(
            family, self.fmt, profile, self.limits
        )

    def _texts(self) -> mixed.Texts:
        """What weights are rounded for and judged by, as far as the model's own context goes.

        That of the bundle would have `--context` decide what the weights are.
        """
        shape, folder = self.model.shape, self.request.source.path
        longest = self.config.take("max_position_embeddings", int)
        # The model's own tokenizer may have more tokens than ours, if it may differ.
        encoded = (
            [one for one in tokenizer.encode(folder, text)[:longest] if one < shape.vocab] or [0]
            for text in (resources.calibration_text(), REFERENCE_TEXT)
        )
        return mixed.Texts(*encoded)

    def _with(self, made: Family, quantization: str) -> tuple[_Fitted, memory.ModelSpec]:
        """The same with another family's model, and the sizes of that."""
        model = made.build(kernels.for_target(self.target), self.fmt)
        mappings = list(weight_mappings(model))
        choice = replace(self.choice, quantization=quantization)
        spec = _spec(self.request.source.name, model, mappings, quantization)
        changed = replace(self, family=made, model=model, mappings=mappings, choice=choice)
        return changed, spec

    def _filled(self, vocabulary: int) -> Built:
        request, model, limits = self.request, self.model, self.limits
        source, profile, progress = request.source, request.profile, request.progress
        folder = request.writer.folder
        request.writer.require_space(self.needed.weights_bytes)
        code = compiled_code.CodeRequest(limits, source.name, folder / "lib", progress)
        graph = compiled_code.for_cpu(model, self.target, code)
        gpu = compiled_code.for_gpu(self.family, self.fmt, profile, code)
        (folder / _WEIGHTS).mkdir()
        weights.convert(self.checkpoint, self.mappings, folder / _WEIGHTS, progress)
        draft = ManifestDraft(
            name=source.name,
            task="text",
            engine="tvm",
            family=self.family.name,
            quantization=self.choice.quantization,
            parameters=weights.parameters(self.mappings),
            profile=profile.name,
            target=Target(
                triple=self.target.triple,
                cpu_features=self.target.cpu_features,
                backend=profile.backends[0] if gpu is not None else "cpu",
            ),
            text=Text(
                vocab_size=model.shape.vocab,
                context_tokens=self.choice.context_tokens,
                kv_dtype=self.choice.kv_dtype,
                sampling=sampling_defaults(source.path),
            ),
            tvm=Tvm(
                parameters=graph.parameters,
                cache=graph.cache,
                prefill_tokens=limits.prefill_tokens,
                score_tokens=limits.score_tokens,
                decode_sequences=limits.decode_sequences,
                embedding_size=model.shape.hidden,
                gpu=gpu,
                rope_switch=rope_switch(model),
            ),
            memory=self.needed,
            provenance=provenance(source, _TOOLS, progress, request.options),
        )
        return Built(draft, self._check, partial(self._keep_reference, draft, vocabulary))

    def _check(self) -> None:
        tokenizer_check.compare(self.request, self.request.writer.folder / _VOCABULARY)

    def _keep_reference(self, draft: ManifestDraft, vocabulary: int) -> None:
        folder = self.request.writer.folder
        with self.request.progress.step("computing the reference"):
            reference.write(
                reference.Subject(
                    family=self.family,
                    fmt=self.fmt,
                    draft=draft,
                    window=self.config.take("sliding_window", int, None),
                    tokens=tokenizer_check.reference_tokens(folder / _VOCABULARY),
                    vocabulary=vocabulary,
                ),
                folder / _WEIGHTS,
                folder / references.FOLDER,
            )


def _kv_dtype(fmt: WeightFormat) -> Any:
    """Half the memory where the weights are rounded anyway; exact where the weights are float32."""
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
) -> memory.ModelSpec:
    """The sizes that decide memory, as the weights are and in every format they could be had in."""
    shape, mixture = model.shape, model.mixture
    row_block = next(mapping.fmt.row_block for mapping in needed if mapping.fmt is not None)
    return memory.ModelSpec(
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
        is_compiled=True,
    )


def _stored_bytes(mapping: WeightMapping, fmt: WeightFormat | None) -> int:
    if fmt is None or mapping.fmt is None or mapping.columns is None or mapping.kept:
        arrays = [(shape, dtype) for _, dtype, shape in mapping.arrays()]
    else:
        arrays = list(fmt.parameters(mapping.rows, mapping.columns).values())
    return sum(prod(shape) * np.dtype(dtype).itemsize for shape, dtype in arrays)
