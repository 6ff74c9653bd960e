"""Puts the right answers of a compiled model into its bundle, for `sphere-edge certify`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import safe_open

from sphere_edge.bundle import reference as references
from sphere_edge.bundle.manifest import ManifestDraft
from sphere_edge.bundle.reference_plan import plan
from sphere_edge.compiler.reference import compute
from sphere_edge.compiler.reference_kernels import ReferenceKernels
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.engines import mixed
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.source import ModelSource
from sphere_edge.models.registry import family
from sphere_edge.profiles import DeviceProfile

# Of a group of 32 integers, four in each.
_Q8_WORDS = 8


def write(
    source: ModelSource,
    profile: DeviceProfile,
    draft: ManifestDraft,
    folder: Path,
    passage: list[int],
    vocabulary: int,
) -> None:
    """Computes the reference of the bundle in `folder` from its weights and writes it there.

    `passage`: the token ids of reference_plan.PASSAGE, of `vocabulary` tokens altogether.
    """
    text, made = draft.text, draft.tvm
    assert text is not None
    assert made is not None
    target = CpuTarget.of(profile.triple, profile.cpu.features)
    config = ModelConfig.read(source.path)
    window = config.take("sliding_window", int, None)
    context = text.context_tokens
    if made.rope_switch is not None:
        # Nothing is kept across the switch: a text beyond it is computed as a whole, like others.
        context = min(context, made.rope_switch.tokens)
    chosen = plan(
        passage,
        vocabulary,
        parameters=draft.parameters,
        context_tokens=context,
        prefill_tokens=made.prefill_tokens,
        score_tokens=made.score_tokens,
        window=window,
    )
    stored = _Stored(folder / "weights")
    kernels = ReferenceKernels()
    found = family(config, context)
    # What the engine found out about the head is in the weights that it wrote.
    tied = not any(name.startswith("lm_head.") for name in made.parameters)
    settings = replace(found.config, shape=replace(found.config.shape, tied=tied))
    fmt = target.weight_format(mixed.format_of(draft.quantization))
    if draft.quantization == mixed.NAME:
        found = mixed.raised(found, lambda path: stored.words(f"{path}.weight.data") == _Q8_WORDS)
    model = found.model(settings, kernels, fmt)
    reference, logits = compute(model, kernels, chosen, vocabulary, stored.load)
    references.write(reference, logits, folder / references.FOLDER)


class _Stored:
    """The weights of a bundle by name."""

    def __init__(self, folder: Path) -> None:
        self._shards: dict[str, Any] = {}
        for path in sorted(folder.glob("*.safetensors")):
            shard: Any = safe_open(path, framework="numpy")
            self._shards |= dict.fromkeys(shard.keys(), shard)

    def words(self, name: str) -> int:
        """How many words a group of the packed integers in `name` has."""
        return int(self._shards[name].get_slice(name).get_shape()[2])

    def load(self, name: str) -> Any:
        """The array as it is stored."""
        return self._shards[name].get_tensor(name)
