"""A GGUF is stored in a bundle unchanged; one that is not a language model is an error."""

import dataclasses
from pathlib import Path

import gguf as reference
import numpy as np
import pytest

from sphere_edge import profiles
from sphere_edge.bundle.manifest import Sampling
from sphere_edge.bundle.verify import verify
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.engines import llama
from sphere_edge.engines.engine import BuildRequest
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import (
    InvalidArgumentError,
    ModelCorruptError,
    OutOfMemoryError,
    UnsupportedError,
)
from sphere_edge.formats.source import open_source

PIXEL = profiles.load("pixel8")


def write(
    path: Path,
    *,
    architecture="llama",
    tokens=20,
    weights=True,
    layers=2,
    temperature=None,
    nan=False,
    name=None,
) -> Path:
    writer = reference.GGUFWriter(path, architecture)
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    if layers:
        writer.add_block_count(layers)
    if name is not None:
        writer.add_name(name)
    if temperature is not None:
        writer.add_float32("general.sampling.temp", temperature)
    if tokens:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([f"token{number}" for number in range(tokens)])
    if weights:
        blocks = np.zeros((4, 64 // 32 * 18), np.uint8)
        if nan:
            blocks[2, 18:20] = 0xFF
        writer.add_tensor("blk.0.weight", blocks, raw_dtype=reference.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def build(tmp_path, path, options=None, profile=PIXEL):
    """The bundle made of `path`."""
    source = open_source(str(path))
    with BundleWriter(tmp_path / "bundle") as writer:
        build = llama.fit(BuildRequest(source, profile, options or PackageOptions(), writer))
        return writer.commit(build().draft)


def test_the_file_goes_in_unchanged_with_what_it_says_of_itself(tmp_path):
    path = write(tmp_path / "some-model.gguf")
    bundle = build(tmp_path, path, PackageOptions(context_tokens=512, chat_template="{{ a }}"))
    manifest = bundle.manifest
    assert (bundle.folder / "model.gguf").read_bytes() == path.read_bytes()
    assert (manifest.name, manifest.engine, manifest.family) == ("some-model", "llama", "llama")
    assert (manifest.quantization, manifest.parameters) == ("q4_0", 256)
    assert manifest.text.vocab_size == 20
    assert manifest.text.context_tokens == 512
    assert manifest.text.chat_template == "{{ a }}"
    assert manifest.target.cpu_features == ()
    assert manifest.tvm is None
    # Two layers, two KV heads, 16 features, keys and values, float16.
    assert manifest.memory.kv_cache_bytes == 2 * 2 * 16 * 2 * 512 * 2


def test_the_same_file_gives_the_same_bundle_id_from_any_folder_and_by_any_name(tmp_path):
    made = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        path = write(tmp_path / folder / "model.gguf")
        made.append(build(tmp_path / folder, path).manifest.id)
    assert made[0] == made[1]


def test_a_bundle_does_not_change_with_the_file_that_it_was_made_of(tmp_path):
    path = write(tmp_path / "model.gguf")
    content = path.read_bytes()
    bundle = build(tmp_path, path)
    placed = bundle.folder / "model.gguf"
    with path.open("r+b") as file:
        file.write(b"changed in place")
        file.truncate(100)
    assert placed.read_bytes() == content
    verify(bundle.folder)


def test_advice_on_sampling_in_a_gguf_goes_into_the_bundle(tmp_path):
    path = write(tmp_path / "model.gguf", temperature=0.25)
    assert build(tmp_path, path).manifest.text.sampling == Sampling(temperature=0.25)


def test_a_name_that_is_not_text_is_refused(tmp_path):
    path = write(tmp_path / "model.gguf", name="a name")
    path.write_bytes(path.read_bytes().replace(b"a name", b"\xff name"))
    with pytest.raises(ModelCorruptError, match=r"`general\.name` of .* is not UTF-8"):
        build(tmp_path, path)


def test_a_gguf_with_nan_is_refused(tmp_path):
    path = write(tmp_path / "model.gguf", nan=True)
    with pytest.raises(ModelCorruptError, match=r"`blk\.0\.weight` of `model\.gguf` holds NaN"):
        build(tmp_path, path)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architecture": "bert"}, "embedding model"),
        ({"tokens": 0}, "without a tokenizer"),
        ({"weights": False}, "without weights"),
    ],
)
def test_what_is_no_whole_language_model_is_refused(tmp_path, changes, says):
    path = write(tmp_path / "model.gguf", **changes)
    with pytest.raises(UnsupportedError, match=says):
        build(tmp_path, path)
    assert not (tmp_path / "bundle").exists()


def test_a_missing_size_is_named(tmp_path):
    with pytest.raises(ModelCorruptError, match=r"`llama\.block_count`"):
        build(tmp_path, write(tmp_path / "model.gguf", layers=0))


@pytest.mark.parametrize("wanted", ["q8", "f32"])
def test_a_gguf_becomes_no_format_of_compiled_models(tmp_path, wanted):
    with pytest.raises(InvalidArgumentError, match=f"`{wanted}`") as caught:
        build(tmp_path, write(tmp_path / "model.gguf"), PackageOptions(quantization=wanted))
    assert "q4_k_m" in str(caught.value.hint)


@pytest.mark.parametrize("tokens", [0, 2049])
def test_a_context_that_cannot_be_is_refused(tmp_path, tokens):
    options = PackageOptions(context_tokens=tokens)
    with pytest.raises(InvalidArgumentError, match=f"`{tokens}`"):
        build(tmp_path, write(tmp_path / "model.gguf"), options)


def test_a_model_that_does_not_fit_is_refused_before_it_is_copied(tmp_path):
    memory = PIXEL.memory.model_copy(update={"usable_bytes": 1 << 20})
    small = PIXEL.model_copy(update={"memory": memory})
    with pytest.raises(OutOfMemoryError):
        build(tmp_path, write(tmp_path / "model.gguf"), profile=small)


def test_options_are_values():
    assert dataclasses.replace(PackageOptions(), bits=5) == PackageOptions(bits=5)


def split(path: Path) -> list[Path]:
    """A model in three files, as llama.cpp's gguf-split makes them; the vocabulary in the first."""
    writer = reference.GGUFWriter(path, "llama", split_max_tensors=1)
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_block_count(2)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token{number}" for number in range(20)])
    for number in range(3):
        writer.add_tensor(f"blk.{number}.weight", np.full((4, 64), number, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(path.parent.glob(f"{path.stem}-*.gguf"))


def test_all_parts_of_a_split_model_go_into_the_bundle(tmp_path):
    parts = split(tmp_path / "big.gguf")
    bundle = build(tmp_path, parts[1])
    assert (bundle.manifest.name, bundle.manifest.parameters) == ("big", 3 * 4 * 64)
    roles = {file.path: file.role for file in bundle.manifest.files}
    assert roles == {
        "model-00001-of-00003.gguf": "model",
        "model-00002-of-00003.gguf": "weights",
        "model-00003-of-00003.gguf": "weights",
    }
    for part, name in zip(parts, roles, strict=True):
        assert (bundle.folder / name).read_bytes() == part.read_bytes()


def test_parts_of_different_models_are_no_model(tmp_path):
    parts = split(tmp_path / "big.gguf")
    parts[2].write_bytes(parts[1].read_bytes())
    with pytest.raises(ModelCorruptError, match="not part 3 of 3"):
        build(tmp_path, parts[0])
    alone = parts[1].rename(tmp_path / "alone.gguf")
    with pytest.raises(ModelCorruptError, match="later part of a split model"):
        build(tmp_path, alone)


@pytest.mark.parametrize(
    ("architecture", "pooling", "what"),
    [("bert", None, "embedding"), ("qwen3", 3, "embedding"), ("qwen3", 4, "reranker")],
)
def test_models_of_vectors_are_recognised(tmp_path, architecture, pooling, what):
    path = tmp_path / "model.gguf"
    writer = reference.GGUFWriter(path, architecture)
    if pooling is not None:
        writer.add_pooling_type(reference.PoolingType(pooling))
    writer.add_tensor("token_embd.weight", np.zeros((4, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedError, match=f"`{architecture}`.*{what}.*not text"):
        build(tmp_path, path)


def test_mixed_bits_are_refused_for_a_gguf_instead_of_forgotten(tmp_path):
    path = write(tmp_path / "some-model.gguf")
    with pytest.raises(InvalidArgumentError, match="--bits does not go with a GGUF"):
        build(tmp_path, path, PackageOptions(bits=5.0))
