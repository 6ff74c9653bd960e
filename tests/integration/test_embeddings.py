"""Embeddings of encoders and of causal models, against the formulas in numpy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file

from sphere_edge import errors, packaging, resources
from sphere_edge.engines.options import PackageOptions
from sphere_edge.runtime.embedding import EmbedRequest
from sphere_edge.runtime.text import TextManager
from tests import bert, made_bundles, manifest_corpus, random_gguf
from tests.cli_process import in_process

TEXTS = ["the sky is near.", "rain", "a stone in the sea, a tree", "notes on nine trains"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert.write(bert.random(), tmp_path_factory.mktemp("bert") / "bert.gguf")


@pytest.fixture(scope="module")
def text(encoder: Path) -> Iterator[TextManager]:
    with TextManager.open(encoder, threads=2) as opened:
        yield opened


def length_one(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last", None])
def test_an_encoders_vectors_are_those_of_the_formulas(text: TextManager, pooling: Any) -> None:
    made = text.embed(TEXTS, EmbedRequest(pooling=pooling))
    assert made.vectors.shape == (len(TEXTS), 64)
    ids = [text.tokenize(one) for one in TEXTS]
    assert made.tokens == sum(map(len, ids))
    for vector, tokens in zip(made.vectors, ids, strict=True):
        rows = bert.hidden_states(bert.random(), tokens)
        expected = {"cls": rows[0], "last": rows[-1]}.get(pooling, rows.mean(0))
        assert float(vector @ length_one(expected)) > 0.9995
        assert abs(np.linalg.norm(vector) - 1) < 1e-5


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_nomic_encoder_is_right_too(tmp_path: Path, pooling: Any) -> None:
    nomic = bert.random_nomic()
    with TextManager.open(bert.write(nomic, tmp_path / "nomic.gguf")) as text:
        made = text.embed(TEXTS, EmbedRequest(pooling=pooling))
        ids = [text.tokenize(one) for one in TEXTS]
    for vector, tokens in zip(made.vectors, ids, strict=True):
        rows = bert.hidden_states(nomic, tokens)
        expected = rows[0] if pooling == "cls" else rows.mean(0)
        assert float(vector @ length_one(expected)) > 0.9995


def test_vectors_keep_their_length_if_asked(text: TextManager) -> None:
    raw = text.embed(TEXTS, EmbedRequest(normalize=False)).vectors
    assert np.allclose([length_one(one) for one in raw], text.embed(TEXTS).vectors, atol=1e-5)
    assert all(abs(np.linalg.norm(one) - 1) > 0.1 for one in raw)


def test_a_text_alone_or_among_others_gives_the_same_vector(text: TextManager) -> None:
    together = text.embed(TEXTS).vectors
    for one, vector in zip(TEXTS, together, strict=True):
        assert np.array_equal(text.embed([one]).vectors[0], vector)
    assert text.embed([]).vectors.shape == (0, 64)


def test_a_long_text_is_refused_or_cut_off_before_its_end_token(text: TextManager) -> None:
    long = "sky " * 100
    with pytest.raises(
        errors.InvalidArgumentError, match="`102` tokens, and the model embeds `64`"
    ):
        text.embed([long])
    made = text.embed(["rain", long], EmbedRequest(truncate=True, normalize=False))
    assert (made.truncated, made.tokens) == (1, 64 + len(text.tokenize("rain")))
    ids = [*text.tokenize(long)[:63], text.tokenize(long)[-1]]
    expected = bert.hidden_states(bert.random(), ids).mean(0)
    assert float(length_one(made.vectors[1]) @ length_one(expected)) > 0.9995


def test_a_long_text_that_can_be_cut_nowhere_keeps_its_first_and_its_last_token(
    text: TextManager,
) -> None:
    long = "!?" * 2**17
    with pytest.raises(
        errors.InvalidArgumentError, match="more than `64` tokens, and the model embeds `64`"
    ):
        text.embed([long])
    made = text.embed([long], EmbedRequest(truncate=True, normalize=False))
    assert (made.truncated, made.tokens) == (1, 64)
    ids = [*text.tokenize(long)[:63], text.tokenize(long)[-1]]
    expected = bert.hidden_states(bert.random(), ids).mean(0)
    assert float(length_one(made.vectors[0]) @ length_one(expected)) > 0.9995


def test_what_a_model_cannot_do_is_refused_by_name(text: TextManager) -> None:
    assert not text.info.generates
    assert (text.info.embedding_size, text.info.embed_tokens, text.info.pooling) == (64, 64, "mean")
    with pytest.raises(errors.UnsupportedError, match="encoder"):
        text.generate("the", max_tokens=1).text()
    for texts in ("rain", [1], ["a\0b"]):
        with pytest.raises(errors.InvalidArgumentError):
            text.embed(texts)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidArgumentError, match="`max`"):
        text.embed(TEXTS, EmbedRequest(pooling="max"))  # type: ignore[arg-type]


def test_a_bundle_from_before_compiled_models_had_embeddings_refuses(tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(made_bundles.made(packaging.TINY).folder, old)
    document = json.loads((old / "bundle.json").read_text())
    del document["tvm"]["embedding_size"]
    manifest_corpus.write(old, document)
    with TextManager.open(old) as text:
        assert text.info.embedding_size == 0
        with pytest.raises(errors.UnsupportedError, match="makes no embeddings"):
            text.embed(TEXTS)
        assert text.generate("the sky", max_tokens=3).text()


@pytest.mark.parametrize("quantization", ["f32", "q8"])
def test_a_compiled_models_vectors_are_its_final_hidden_states(quantization: str) -> None:
    """Of a head that is the embedding, they give the logits."""
    options = PackageOptions(quantization=quantization)
    bundle = made_bundles.made(packaging.TINY, options=options).folder
    head = load_file(resources.tiny_model() / "model.safetensors")["model.embed_tokens.weight"]
    # Longer than one call computes.
    long = "The sky is near. " * 60
    with TextManager.open(bundle) as text:
        assert text.info.embedding_size == head.shape[1]
        for one in ("the sky is near.", long):
            request = EmbedRequest(pooling="last", normalize=False)
            (vector,) = text.embed([one], request).vectors
            logits = text.logits(text.tokenize(one, add_special=True))[-1]
            found = head.astype(np.float32) @ vector
            tolerance = 1e-4 if quantization == "f32" else 0.03
            assert np.abs(found - logits).max() < tolerance * np.abs(logits).max()
        before = text.generate("the sky", temperature=0, max_tokens=8).text()
        mean = text.embed([long]).vectors[0]
        assert abs(np.linalg.norm(mean) - 1) < 1e-5
        assert np.array_equal(text.embed(["rain", long]).vectors[1], mean)
        assert text.generate("the sky", temperature=0, max_tokens=8).text() == before


def test_a_causal_model_embeds_and_still_generates(tmp_path: Path) -> None:
    model = random_gguf.write(tmp_path / "causal.gguf")
    with TextManager.open(model, threads=2) as causal:
        before = causal.generate("the sky", temperature=0.0, max_tokens=8).text()
        long = "the sky and the sea " * 20
        last = causal.embed([long], EmbedRequest(pooling="last")).vectors[0]
        mean = causal.embed([long]).vectors[0]
        assert float(last @ mean) < 0.99
        # Only what comes before a token counts: the first token's vector does not see the rest.
        first = causal.embed([long, "the"], EmbedRequest(pooling="cls")).vectors
        assert float(first[0] @ first[1]) > 0.9995
        assert causal.generate("the sky", temperature=0.0, max_tokens=8).text() == before


def test_the_pooling_of_the_file_is_the_default(tmp_path: Path) -> None:
    path = bert.write(bert.random(), tmp_path / "cls.gguf", gguf.PoolingType.CLS)
    with TextManager.open(path) as model:
        assert model.info.pooling == "cls"
        named = model.embed(TEXTS, EmbedRequest(pooling="cls")).vectors
        assert np.array_equal(model.embed(TEXTS).vectors, named)


def test_the_command_prints_vectors(encoder: Path) -> None:
    words = ["embed", encoder, "rain", "sky"]
    lines = in_process(*words).stdout.splitlines()
    document = json.loads(in_process(*words, "--json").stdout)
    assert [json.loads(line) for line in lines] == document["embeddings"]
    assert len(document["embeddings"][0]) == 64
