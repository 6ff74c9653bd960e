"""Safetensors models that become GGUFs compute in llama.cpp what transformers computed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import goldens
import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file
from speaking import padded

from sphere_edge import packaging, profiles, resources
from sphere_edge.bundle.manifest import Sampling
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import (
    ModelCorruptError,
    NotFoundError,
    SphereEdgeError,
    UnsupportedError,
)
from sphere_edge.formats.source import open_source
from sphere_edge.runtime.text import TextManager
from tests import random_gguf

CONVERTED = (
    "gemma2_alternating",
    "gemma3_all_slide",
    "gemma3_every_second_is_full",
    "gemma3_heads_and_scale",
    "gemma_one_kv_head",
    "llama_full_heads_biases_linear",
    "llama_grouped_tied_llama3",
    "llama_yarn",
    "mistral_no_window_wide_heads",
    "mistral_one_kv_head_tied",
    "phi3_longrope_long",
    "phi3_longrope_short",
    "phi3_tied",
    "qwen2_grouped_tied",
    "qwen3_full_heads_odd_head",
    "qwen3_grouped_tied",
    "qwen3_vl_interleaved",
)
# From which position on transformers takes the long factors.
SWITCHES = {"phi3_longrope_long": 128}
# What llama.cpp would compute otherwise, and the words that say so.
REFUSED = {
    "gemma2_no_softcaps": "attn_logit_softcapping",
    "gemma_biases": "self_attn",
    "gemma_untied_linear": "head that differs",
    "glm_grouped": "`glm` cannot be written",
    "qwen3_biases_layer_types": "o_proj.bias",
}


def package(folder: Path, output: Path, quantization: str) -> packaging.Packaged:
    options = PackageOptions(quantization=quantization, as_gguf=True)
    return packaging.package(open_source(str(folder)), profiles.host(), options, output)


@pytest.mark.parametrize("name", CONVERTED)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    golden = goldens.load(name)
    made = package(padded(golden, tmp_path / "model"), tmp_path / "made", "f32")
    with TextManager.open(made.output) as text:
        # A window that llama.cpp does not know ends the context.
        tokens = golden.token_ids[: text.info.context_tokens]
        found = text.logits(tokens)
    # llama.cpp takes LongRoPE's long factors for short texts, too, where the context is long.
    first = SWITCHES.get(name, 0)
    kept = [place for place, at in enumerate(golden.positions) if first <= at < len(tokens)]
    expected = golden.rows[kept]
    found = found[[golden.positions[place] for place in kept], : expected.shape[1]]
    # llama.cpp's KV cache is float16; a wrong order of rows or a wrong norm is off by the whole.
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-3 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "words"), REFUSED.items())
def test_what_llama_cpp_would_compute_otherwise_is_refused_by_name(
    name: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match=words):
        package(padded(goldens.load(name), tmp_path / "model"), tmp_path / "made", "f32")
    assert not (tmp_path / "made").exists()


def test_short_longrope_factors_are_refused_where_llama_cpp_would_take_the_long_ones(
    tmp_path: Path,
) -> None:
    golden = goldens.load("phi3_longrope_short")
    # llama.cpp rounds 200 up to 256, beyond the boundary of 200.
    rope = {**golden.config["rope_parameters"], "original_max_position_embeddings": 200}
    lengths = {"max_position_embeddings": 200, "original_max_position_embeddings": 200}
    config = {**golden.config, **lengths, "rope_parameters": rope}
    shorter = dataclasses.replace(golden, config=config)
    with pytest.raises(UnsupportedError, match="short LongRoPE factors"):
        package(padded(shorter, tmp_path / "model"), tmp_path / "made", "f32")


@pytest.fixture(scope="module")
def tiny_f16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model as a GGUF bundle with the weights of its checkpoint."""
    output = tmp_path_factory.mktemp("tiny") / "f16"
    return package(resources.tiny_model(), output, "f16").output


def greedy(model: Path, question: str) -> str:
    with TextManager.open(model) as text:
        messages = [{"role": "user", "content": question}]
        return "".join(text.chat(messages, max_tokens=24, temperature=0))


def test_a_converted_model_answers_as_the_compiled_one(tiny_f16: Path, tmp_path: Path) -> None:
    source = open_source(str(resources.tiny_model()))
    options = PackageOptions(quantization="f32")
    compiled = packaging.package(source, profiles.host(), options, tmp_path / "compiled").output
    questions = ("What is the capital of France?", "What is 12 plus 7?", "Who are you?")
    answers = [greedy(tiny_f16, question) for question in questions]
    assert answers == [greedy(compiled, question) for question in questions]
    assert "Paris" in answers[0]


@pytest.mark.parametrize("name", ["q3_k_m", "q4_0", "q4_k_m", "q5_k_m", "q6_k", "q8_0"])
def test_llama_cpp_quantizes_what_it_is_given(tiny_f16: Path, tmp_path: Path, name: str) -> None:
    source = open_source(str(tiny_f16 / "model.gguf"))
    options = PackageOptions(quantization=name)
    made = packaging.package(source, profiles.host(), options, tmp_path / "made")
    # What most weights are; the names of the mixtures end in how large they are.
    assert made.bundle.manifest.quantization == name.removesuffix("_m")
    assert made.bundle.manifest.total_bytes < (tiny_f16 / "model.gguf").stat().st_size
    assert "Paris" in greedy(made.output, "What is the capital of France?")


def test_a_safetensors_model_is_quantized_on_its_way(tmp_path: Path) -> None:
    made = package(resources.tiny_model(), tmp_path / "made", "q4_0")
    assert [file.path for file in made.bundle.manifest.files] == ["model.gguf"]
    assert made.bundle.manifest.quantization == "q4_0"


def test_what_the_quantizer_dislikes_is_told_in_its_words(tmp_path: Path) -> None:
    path = random_gguf.write(tmp_path / "model.gguf")
    # The header is sound; only llama.cpp knows that the model has no tenth layer.
    content = path.read_bytes().replace(b"blk.1.attn_q.weight", b"blk.9.attn_q.weight")
    path.write_bytes(content)
    options = PackageOptions(quantization="q8_0")
    with pytest.raises(SphereEdgeError):
        packaging.package(open_source(str(path)), profiles.host(), options, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_split_model_answers_as_the_whole(tmp_path: Path) -> None:
    whole = random_gguf.write(tmp_path / "whole.gguf")
    first = random_gguf.write(tmp_path / "split.gguf", tensors_a_part=8)
    bundle = packaging.package(
        open_source(str(first)), profiles.host(), PackageOptions(), tmp_path / "made"
    ).output
    tokens = list(range(3, 60))
    with TextManager.open(whole) as text:
        expected = text.logits(tokens)
    for model in (first, bundle):
        with TextManager.open(model) as text:
            np.testing.assert_array_equal(text.logits(tokens), expected)


def test_a_split_model_becomes_one_file_when_it_is_quantized(tmp_path: Path) -> None:
    first = random_gguf.write(tmp_path / "split.gguf", tensors_a_part=8)
    options = PackageOptions(quantization="q8_0")
    made = packaging.package(open_source(str(first)), profiles.host(), options, tmp_path / "made")
    assert [file.path for file in made.bundle.manifest.files] == ["model.gguf"]


def test_a_lying_part_is_refused_before_llama_cpp_sees_it(tmp_path: Path) -> None:
    first = random_gguf.write(tmp_path / "split.gguf", tensors_a_part=8)
    second = first.with_name(first.name.replace("-00001-", "-00002-"))
    for content in (first.read_bytes(), second.read_bytes()[:-64], b"GGUF"):
        second.write_bytes(content)
        with pytest.raises(ModelCorruptError):
            TextManager.open(first)
    second.unlink()
    with pytest.raises(NotFoundError):
        TextManager.open(first)


def test_an_architecture_that_llama_cpp_does_not_know_is_named(tmp_path: Path) -> None:
    path = random_gguf.write(tmp_path / "model.gguf", architecture="mistrale")
    # Also for a device that cannot try it here.
    for profile in (profiles.host(), profiles.load("raspberry-pi-5")):
        with pytest.raises(UnsupportedError, match="`mistrale`"):
            packaging.package(open_source(str(path)), profile, PackageOptions(), tmp_path / "made")


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the built-in model with other tensors."""
    shutil.copytree(resources.tiny_model(), folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    return folder


def next_logits(model: Path) -> npt.NDArray[np.float32]:
    with TextManager.open(model) as text:
        return text.next_logits([5, 17, 99, 240])


def test_a_head_that_differs_from_the_embedding_it_is_tied_to_is_kept(tmp_path: Path) -> None:
    def untie(tensors: dict[str, Any]) -> None:
        embedding = tensors["model.embed_tokens.weight"]
        noise = np.random.default_rng(0).normal(0, 0.05, embedding.shape)
        tensors["lm_head.weight"] = (embedding + noise).astype(np.float16)

    model = changed(tmp_path / "model", untie)
    made = package(model, tmp_path / "made", "f32")
    options = PackageOptions(quantization="f32")
    source = open_source(str(model))
    compiled = packaging.package(source, profiles.host(), options, tmp_path / "compiled")
    expected = next_logits(compiled.output)
    np.testing.assert_allclose(
        next_logits(made.output), expected, rtol=0, atol=5e-3 * np.abs(expected).max()
    )


def test_a_model_saved_without_prefix_or_embedding_is_the_same_model(tmp_path: Path) -> None:
    def strip(tensors: dict[str, Any]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("model.")] = tensors.pop(name)

    def only_head(tensors: dict[str, Any]) -> None:
        tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")

    expected = next_logits(package(resources.tiny_model(), tmp_path / "usual", "f32").output)
    for number, change in enumerate((strip, only_head)):
        model = changed(tmp_path / f"model{number}", change)
        made = package(model, tmp_path / f"made{number}", "f32")
        np.testing.assert_array_equal(next_logits(made.output), expected)
        options = PackageOptions(quantization="f32")
        source = open_source(str(model))
        compiled = packaging.package(source, profiles.host(), options, tmp_path / f"c{number}")
        np.testing.assert_allclose(
            next_logits(compiled.output), expected, rtol=0, atol=5e-3 * np.abs(expected).max()
        )


def test_advice_on_sampling_goes_into_the_bundle(tmp_path: Path) -> None:
    model = changed(tmp_path / "model", lambda _: None)
    advice = {"do_sample": True, "temperature": 0.3, "top_k": 7}
    (model / "generation_config.json").write_text(json.dumps(advice))
    text = package(model, tmp_path / "made", "f32").bundle.manifest.text
    assert text is not None
    assert text.sampling == Sampling(temperature=0.3, top_k=7, top_p=1.0, min_p=0.0)
