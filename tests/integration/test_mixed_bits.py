"""8 bits go where 4 hurt most: within `--bits`, or without it until a model is good enough."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import goldens
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sphere_edge import packaging, profiles, resources
from sphere_edge.bundle.reference_plan import REFERENCE_TEXT
from sphere_edge.console import SILENT
from sphere_edge.engines import mixed, weights
from sphere_edge.engines.calibration import Reader, Source
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import InvalidArgumentError, ModelCorruptError
from sphere_edge.formats import tokenizer
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.source import open_source
from sphere_edge.models.layers import matrices, weight_mappings
from sphere_edge.models.registry import Family, family
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


def source_of(folder: Path) -> Source:
    config = ModelConfig.read(folder)
    return Source(family(config, 256), weights.opened(folder, config, None))


def some_texts() -> mixed.Texts:
    random = np.random.default_rng(1)
    return mixed.Texts(
        *([int(one) for one in random.integers(0, 2048, count)] for count in (200, 40))
    )


def refined(folder: Path, bits: float) -> tuple[tuple[str, ...], float]:
    """What becomes q8, and the bits per weight that are used in the end."""
    found = mixed.to_bits(source_of(folder), some_texts(), bits, SILENT)
    built = found.family.build(None, WeightFormat("q4", 16))
    sizes = [(one.rows * one.columns, one.fmt.bits_per_weight) for _, one in matrices(built)]
    used = sum(count * each for count, each in sizes) / sum(count for count, _ in sizes)
    return found.in_q8, used


def divergence(folder: Path, found: mixed.Refined | None) -> float:
    """Of a random text's predictions, by the model as it will be stored."""
    tokens = [int(one) for one in np.random.default_rng(3).integers(0, 2048, 64)]
    reader = Reader(source_of(folder), tokens)
    exact = mixed.log_probabilities(reader.logits(lambda _: None))
    if found is None:
        return mixed.divergence(exact, reader.logits(lambda _: "q4"))
    logits = reader.logits(
        lambda path: "q8" if path in found.in_q8 else "q4", checkpoint=found.checkpoint
    )
    return mixed.divergence(exact, logits)


def test_without_flags_a_model_that_4_bits_hurt_gets_what_it_needs(model: Path) -> None:
    assert divergence(model, None) > mixed.TARGET
    found = mixed.to_target(source_of(model), some_texts(), lambda _: True, SILENT)
    assert found is not None
    assert DAMAGED in found.in_q8
    assert len(found.in_q8) < len(list(matrices(found.family.build(None, WeightFormat("q4", 1)))))
    assert divergence(model, found) < 1.5 * mixed.TARGET


def test_what_is_no_better_than_plain_q4_is_dropped(model: Path) -> None:
    """Two tokens say nothing, so that all is rounded as plain q4 rounds it."""
    texts = mixed.Texts([5, 6], some_texts().measured)
    assert mixed.to_target(source_of(model), texts, lambda _: False, SILENT) is None


def test_activations_beyond_float32_leave_plain_rounding(model: Path, tmp_path: Path) -> None:
    """In layer 1, of a token that only the calibration text has."""
    folder = shutil.copytree(model, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"][:, 7] = 0
    tensors["model.embed_tokens.weight"][9, 7] = 1
    for layer in (0, 1):
        for name in ("self_attn.o_proj", "mlp.down_proj"):
            tensors[f"model.layers.{layer}.{name}.weight"][7] = 0
    tensors["model.layers.1.post_attention_layernorm.weight"][7] = 1e30
    save_file(tensors, folder / "model.safetensors")
    usual = some_texts()
    texts = mixed.Texts([9, *usual.calibration], [one for one in usual.measured if one != 9])
    plain = Reader(source_of(folder), texts.measured).logits(lambda _: "q4")
    assert np.isfinite(plain).all()
    found = mixed.to_target(source_of(folder), texts, lambda _: True, SILENT)
    assert found is not None
    rounded = Reader(source_of(folder), texts.calibration).rounded(lambda path: "mlp" in path)
    wanted = weights.opened(folder, ModelConfig.read(folder), None).read(f"model.{DAMAGED}.weight")
    fmt = WeightFormat("q4", 1)
    alone = fmt.unpack(fmt.pack(wanted), *wanted.shape)
    np.testing.assert_array_equal(rounded.read(f"model.{DAMAGED}.weight"), alone)


def test_a_reading_that_begins_at_the_first_changed_weight_is_that_of_the_whole_model(
    model: Path,
) -> None:
    texts, source = some_texts(), source_of(model)
    reader = Reader(source, texts.measured)
    exact = reader.logits(lambda _: None)
    in_layer_1 = Reader(source, texts.calibration).rounded(lambda path: "layers.1" in path)
    for part in ("layers.1.mlp", "embed_tokens", "layers.0.mlp.down_proj", "self_attn", "nothing"):
        for checkpoint in (None, in_layer_1):

            def formats(path: str, part: str = part) -> str | None:
                return "q8" if part in path else None

            whole = Reader(source, texts.measured).logits(formats, checkpoint)
            np.testing.assert_array_equal(reader.logits(formats, checkpoint), whole)
            assert np.array_equal(whole, exact) == (part == "nothing" and checkpoint is None)


def test_a_weight_that_cannot_be_stored_is_named(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors[f"model.{DAMAGED}.weight"][3, 3] = 1e6
    save_file(tensors, folder / "model.safetensors")
    for refine in (
        lambda source: mixed.to_target(source, some_texts(), lambda _: True, SILENT),
        lambda source: mixed.to_bits(source, some_texts(), 5, SILENT),
        lambda source: Reader(source, [1, 2, 3]).rounded(lambda _: True),
    ):
        with pytest.raises(ModelCorruptError, match=f"{DAMAGED}.*1000000") as caught:
            refine(source_of(folder))
        assert caught.value.hint == "download the model again"


def test_matrices_too_wide_to_decompose_are_left_to_plain_rounding(tmp_path: Path) -> None:
    golden = goldens.load("llama_grouped_tied_llama3")
    config, wide = {**golden.config, "intermediate_size": 8224}, {}
    for name, shape in golden.tensors.items():
        wide[name] = goldens.weight(3, name, [8224 if one == 96 else one for one in shape])
    goldens.write_checkpoint(dataclasses.replace(golden, config=config), tmp_path, wide)
    rounded = Reader(source_of(tmp_path), [1, 2, 3, 4]).rounded(lambda path: "mlp" in path)
    names = {name.split("mlp.")[1] for name in rounded.packed}
    assert names == {"gate_proj.weight", "up_proj.weight"}


def test_what_the_device_has_no_memory_for_is_not_raised(model: Path) -> None:
    def fits(made: Family) -> bool:
        stored = [one.fmt.name for _, one in matrices(made.build(None, WeightFormat("q4", 1)))]
        return stored.count("q8") <= 1

    found = mixed.to_target(source_of(model), some_texts(), fits, SILENT)
    assert found is not None
    assert len(found.in_q8) == 1
    nothing = mixed.to_target(source_of(model), some_texts(), lambda _: False, SILENT)
    assert nothing is not None
    assert not nothing.in_q8


def test_a_model_that_4_bits_do_not_hurt_stays_as_it_is() -> None:
    folder = resources.tiny_model()
    text = tokenizer.encode(folder, REFERENCE_TEXT)
    texts = mixed.Texts(text, text)
    config = ModelConfig.read(folder)
    source = Source(family(config, 512), weights.opened(folder, config, None))
    assert mixed.to_target(source, texts, lambda _: True, SILENT) is None


def test_q4_that_makes_up_for_its_errors_is_nearer_than_q4_alone(model: Path) -> None:
    alone = divergence(model, None)
    assert divergence(model, mixed.to_bits(source_of(model), some_texts(), 4.5, SILENT)) < alone


def test_the_budget_is_kept_and_the_worst_comes_first(model: Path) -> None:
    for bits in (4.5, 4.7, 6, 8.5):
        chosen, used = refined(model, bits)
        assert used <= bits
        assert (not chosen) == (bits == 4.5)
        assert DAMAGED in chosen or bits < 6
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
        "usual": PackageOptions(context_tokens=256),
    }.items():
        source = open_source(str(model))
        made = packaging.package(source, profiles.host(), options, tmp_path / name)
        with TextManager.open(made.output) as text:
            logits[name] = text.logits(tokens)
        expected = {"exact": "f32", "mixed": "q4+q8"}.get(name, "q4")
        assert made.bundle.manifest.quantization == expected
    error = {name: np.square(logits[name] - logits["exact"]).mean() for name in list(logits)[1:]}
    assert error["mixed"] < 0.5 * error["q4"]
    # A small model is packaged without being measured.
    assert stored(tmp_path / "usual") == stored(tmp_path / "q4")


def stored(bundle: Path) -> bytes:
    """The bundle's weights."""
    return (bundle / "weights" / "weights-00001.safetensors").read_bytes()


def test_the_same_model_gives_the_same_bytes_in_another_process_and_for_another_context(
    model: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "sphere_edge", "package", str(model), "--bits", "6"]
    for name, context in (("one", 256), ("two", 256), ("short", 64)):
        more = ["--context", str(context), "--output", str(tmp_path / name)]
        subprocess.run([*command, *more], check=True, timeout=600, capture_output=True)
    manifests = [(tmp_path / name / "bundle.json").read_bytes() for name in ("one", "two")]
    assert manifests[0] == manifests[1]
    assert json.loads(manifests[0])["quantization"] == "q4+q8"
    assert "numpy" in json.loads(manifests[0])["provenance"]["tools"]
    assert stored(tmp_path / "one") == stored(tmp_path / "two") == stored(tmp_path / "short")


def test_rounded_matrices_are_stored_as_they_were_judged(model: Path) -> None:
    source = source_of(model)
    rounded = Reader(source, some_texts().calibration).rounded(lambda path: "mlp" in path)
    assert rounded.packed.keys() == {
        f"model.layers.{layer}.mlp.{part}_proj.weight"
        for layer in (0, 1)
        for part in ("gate", "up", "down")
    }
    built = source.family.build(None, WeightFormat("q4", 8))
    for mapping in weight_mappings(built):
        if mapping.sources and mapping.sources[0].name in rounded.packed:
            assert mapping.fmt is not None
            assert mapping.columns is not None
            stored = weights.packed(rounded, mapping)
            arrays = {name.rpartition(".")[2]: array for name, array in stored.items()}
            values = mapping.fmt.unpack(arrays, mapping.rows, mapping.columns)
            wanted = np.concatenate([rounded.read(one.name) for one in mapping.sources])
            np.testing.assert_array_equal(values, wanted)
