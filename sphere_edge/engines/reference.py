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
from sphere_edge.models.layers import matrices, store_as
from sphere_edge.models.registry import family
from sphere_edge.profiles import DeviceProfile


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
    chosen = plan(
        passage,
        vocabulary,
        parameters=draft.parameters,
        context_tokens=text.context_tokens,
        prefill_tokens=made.prefill_tokens,
        score_tokens=made.score_tokens,
        window=window,
    )
    stored = _Stored(folder / "weights")
    kernels = ReferenceKernels()
    found = family(config, text.context_tokens)
    # What the engine found out about the head is in the weights that it wrote.
    tied = not any(name.startswith("lm_head.") for name in made.parameters)
    settings = replace(found.config, shape=replace(found.config.shape, tied=tied))
    fmt = target.weight_format(mixed.format_of(draft.quantization))
    model = found.model(settings, kernels, fmt)
    for path, matrix in matrices(model):
        q8 = replace(matrix.fmt, name="q8")
        shape, _ = q8.parameters(matrix.rows, matrix.columns)["data"]
        if matrix.fmt.name == "q4" and stored.shape(f"{path}.weight.data") == shape:
            store_as(matrix, q8)
    reference, logits = compute(model, kernels, chosen, vocabulary, stored.load)
    references.write(reference, logits, folder / references.FOLDER)


class _Stored:
    """The weights of a bundle by name."""

    def __init__(self, folder: Path) -> None:
        self._shards: dict[str, Any] = {}
        for path in sorted(folder.glob("*.safetensors")):
            shard: Any = safe_open(path, framework="numpy")
            self._shards |= dict.fromkeys(shard.keys(), shard)

    def shape(self, name: str) -> tuple[int, ...]:
        """How the array is stored."""
        return tuple(self._shards[name].get_slice(name).get_shape())

    def load(self, name: str) -> Any:
        """The array as it is stored."""
        return self._shards[name].get_tensor(name)
