"""`--bits`: 8 bits go where 4 hurt most, within the budget, and the bundle is the better for it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import goldens
import numpy as np
import pytest

from sphere_edge import packaging, profiles, resources
from sphere_edge.console import SILENT
from sphere_edge.engines import mixed, weights
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.source import open_source
from sphere_edge.models.layers import matrices
from sphere_edge.models.registry import family
from sphere_edge.quantization.weights import WeightFormat
from sphere_edge.runtime.text import TextManager

DAMAGED = "layers.1.mlp.down_proj"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with one matrix that 4 bits ruin: an outlier in every group of 32."""
    golden = goldens.load("llama_grouped_tied_llama3")
    tensors = goldens.weights(golden)
    more = 2048 - golden.vocab_size
    for name, values in tensors.items():
        if values.shape[0] == golden.vocab_size:
            filler = goldens.weight(9, name, [more, values.shape[1]])
            tensors[name] = np.concatenate([values, filler])
    tensors[f"model.{DAMAGED}.weight"][:, ::32] *= 30
    folder = tmp_path_factory.mktemp("mixed")
    larger = {**golden.config, "vocab_size": 2048}
    goldens.write_checkpoint(dataclasses.replace(golden, config=larger), folder, tensors)
    for name in TOKENIZER_FILES:
        shutil.copy(resources.tiny_model() / name, folder / name)
    return folder


def refined(folder: Path, bits: float) -> tuple[tuple[str, ...], float]:
    """What becomes q8, and the bits per weight that are used in the end."""
    config = ModelConfig.read(folder)
    made = family(config, 256)
    checkpoint = weights.opened(folder, config, None)
    tokens = [int(one) for one in np.random.default_rng(1).integers(0, 2048, 40)]
    better, chosen = mixed.refine(mixed.Weighed(made, checkpoint, tokens), bits, SILENT)
    built = better.build(None, WeightFormat("q4", 16))
    sizes = [(one.rows * one.columns, one.fmt.bits_per_weight) for _, one in matrices(built)]
    used = sum(count * each for count, each in sizes) / sum(count for count, _ in sizes)
    return chosen, used


def test_the_budget_is_kept_and_the_worst_comes_first(model: Path) -> None:
    for bits in (4.5, 4.7, 6, 8.5):
        chosen, used = refined(model, bits)
        assert used <= bits
        assert (not chosen) == (bits == 4.5)
        assert DAMAGED in chosen or bits == 4.5
    assert used == 8.5


@pytest.mark.parametrize(("bits", "quantization"), [(4.4, "q4"), (8.6, "q4"), (5, "q8")])
def test_budgets_that_cannot_be_are_refused(bits: float, quantization: str) -> None:
    with pytest.raises(InvalidArgumentError):
        mixed.check(bits, quantization)


def test_a_mixed_bundle_is_nearer_to_the_model_than_four_bits(model: Path, tmp_path: Path) -> None:
    tokens = [int(one) for one in np.random.default_rng(2).integers(0, 2048, 60)]
    logits = {}
    for name, options in {
        "exact": PackageOptions(quantization="f32", context_tokens=256),
        "q4": PackageOptions(quantization="q4", context_tokens=256),
        "mixed": PackageOptions(quantization="q4", bits=6, context_tokens=256),
    }.items():
        source = open_source(str(model))
        made = packaging.package(source, profiles.host(), options, tmp_path / name)
        with TextManager.open(made.output) as text:
            logits[name] = text.logits(tokens)
    assert made.bundle.manifest.quantization == "q4+q8"
    error = {name: np.square(logits[name] - logits["exact"]).mean() for name in ("q4", "mixed")}
    assert error["mixed"] < 0.5 * error["q4"]
