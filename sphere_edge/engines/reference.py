"""Puts the right answers of a compiled model into its bundle, for `sphere-edge certify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from sphere_edge.bundle import reference as references
from sphere_edge.bundle.manifest import ManifestDraft
from sphere_edge.bundle.reference_plan import PlanLimits, plan
from sphere_edge.compiler.reference import ReferenceModel, compute
from sphere_edge.compiler.reference_kernels import ReferenceKernels
from sphere_edge.models.registry import Family
from sphere_edge.quantization.weights import WeightFormat


@dataclass(frozen=True)
class Subject:
    """The model whose answers are wanted, as it was built.

    `window`: its sliding window. `tokens`: those of the reference text, of `vocabulary` altogether.
    """

    family: Family
    fmt: WeightFormat
    draft: ManifestDraft
    window: int | None
    tokens: list[int]
    vocabulary: int


def write(subject: Subject, weights: Path, folder: Path) -> None:
    """Computes the reference from the stored weights in `weights` and writes it into `folder`."""
    text, made = subject.draft.text, subject.draft.tvm
    assert text is not None
    assert made is not None
    context = text.context_tokens
    if made.rope_switch is not None:
        # Nothing is kept across the switch: a text beyond it is computed as a whole, like others.
        context = min(context, made.rope_switch.tokens)
    planned = plan(
        subject.tokens,
        subject.vocabulary,
        PlanLimits(
            parameters=subject.draft.parameters,
            context_tokens=context,
            prefill_tokens=made.prefill_tokens,
            score_tokens=made.score_tokens,
            window=subject.window,
        ),
    )
    kernels = ReferenceKernels()
    model = subject.family.build(kernels, subject.fmt)
    stored = _Stored(weights)
    reference, logits = compute(
        ReferenceModel(model, kernels), planned, subject.vocabulary, stored.load
    )
    references.write(reference, logits, folder)


class _Stored:
    """The weights of a bundle by name."""

    def __init__(self, folder: Path) -> None:
        self._shards: dict[str, Any] = {}
        for path in sorted(folder.glob("*.safetensors")):
            shard: Any = safe_open(path, framework="numpy")
            self._shards |= dict.fromkeys(shard.keys(), shard)

    def load(self, name: str) -> Any:
        """The array as it is stored."""
        return self._shards[name].get_tensor(name)
