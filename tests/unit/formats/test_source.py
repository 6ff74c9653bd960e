"""What the user means by a model, found by content; what is none is refused with the reason."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import safetensors.numpy

from sphere_edge.errors import (
    InvalidArgumentError,
    ModelCorruptError,
    NotFoundError,
    SphereEdgeError,
    StorageError,
    UnsupportedError,
)
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.source import open_source, slug, source_sha256
from sphere_edge.formats.wanted import Wanted

TENSORS = {"w": np.ones(4, np.float32)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "My Model (v1)"
    made.mkdir()
    return made


def with_safetensors(folder: Path, **config: Any) -> None:
    safetensors.numpy.save_file(TENSORS, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))


def refused(reference: Path | str, kind: type[SphereEdgeError], says: str, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        open_source(str(reference), **options)
    assert says in caught.value.message
    return caught.value.hint or ""


def test_a_folder_with_safetensors_is_found(folder: Path) -> None:
    with_safetensors(folder)
    source = open_source(str(folder))
    assert (source.kind, source.path, source.revision) == ("safetensors", folder, None)
    assert source.name == "my-model-v1"
    assert [path.name for path in source.files] == ["model.safetensors", "config.json"]


def test_a_gguf_is_found_in_its_folder_and_alone(folder: Path) -> None:
    (folder / "Tiny-Q4_0.gguf").write_bytes(b"GGUF")
    for reference in (folder, folder / "Tiny-Q4_0.gguf"):
        source = open_source(str(reference))
        assert (source.kind, source.path) == ("gguf", folder / "Tiny-Q4_0.gguf")
    assert source.name == "tiny-q4_0"


def test_where_both_are_the_user_chooses_and_safetensors_are_the_default(folder: Path) -> None:
    with_safetensors(folder)
    (folder / "model.gguf").write_bytes(b"GGUF")
    assert open_source(str(folder)).kind == "safetensors"
    assert open_source(str(folder), wanted=Wanted("gguf")).path == folder / "model.gguf"


def test_a_format_that_is_not_there_is_not_replaced_silently(folder: Path) -> None:
    with_safetensors(folder)
    hint = refused(
        folder, InvalidArgumentError, "holds safetensors, but no gguf", wanted=Wanted("gguf")
    )
    assert "--format safetensors" in hint
    (folder / "a.gguf").write_bytes(b"GGUF")
    refused(folder / "a.gguf", InvalidArgumentError, "is a GGUF file", wanted=Wanted("safetensors"))


def test_several_ggufs_are_named(folder: Path) -> None:
    for name in ("b.gguf", "a.gguf"):
        (folder / name).write_bytes(b"GGUF")
    hint = refused(folder, InvalidArgumentError, "holds 2 GGUF models: a.gguf, b.gguf")
    assert str(folder / "a.gguf") in hint


def test_a_split_gguf_is_one_model_by_any_of_its_parts(folder: Path) -> None:
    parts = [folder / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        part.write_bytes(b"GGUF")
    for reference in (folder, *parts):
        source = open_source(str(reference))
        assert (source.path, source.files) == (parts[0], tuple(parts))
    assert open_source(str(parts[1])).name == "m"
    one = source_sha256(open_source(str(folder)))
    parts[1].write_bytes(b"GGUF!")
    assert source_sha256(open_source(str(folder))) != one


def test_a_part_of_a_split_gguf_that_is_missing_is_named(folder: Path) -> None:
    (folder / "m-00001-of-00002.gguf").write_bytes(b"GGUF")
    hint = refused(folder, NotFoundError, "m-00002-of-00002.gguf")
    assert "2 parts" in hint


def test_safetensors_serve_where_a_gguf_is_wanted_that_can_be_made_of_them(folder: Path) -> None:
    with_safetensors(folder)
    assert (
        open_source(str(folder), wanted=Wanted("gguf", is_convertible=True)).kind == "safetensors"
    )
    (folder / "a.gguf").write_bytes(b"GGUF")
    assert open_source(str(folder), wanted=Wanted("gguf", is_convertible=True)).kind == "gguf"


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "sd.ckpt", "consolidated.00.pth"]
)
def test_a_folder_of_pickles_is_refused_with_the_way_out(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x80\x02")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    assert "save_pretrained" in refused(folder, UnsupportedError, "holds only pickles")


@pytest.mark.parametrize(
    ("name", "content", "kind", "says"),
    [
        ("m.bin", b"\x80\x02evil", UnsupportedError, "is a pickle"),
        ("m.pt", b"PK\x03\x04evil", UnsupportedError, "is a pickle"),
        ("m.gguf", b"\x00\x00\x00\x00", ModelCorruptError, "does not begin as a GGUF"),
        ("m.gguf", b"", ModelCorruptError, "does not begin as a GGUF"),
        ("m.safetensors", b"\x10\x00\x00\x00", ModelCorruptError, "is damaged"),
        ("notes.txt", b"hello", UnsupportedError, "is not a supported model format"),
    ],
)
def test_a_file_that_is_no_model_is_told_what_it_is(
    folder: Path, name: str, content: bytes, kind: Any, says: str
) -> None:
    (folder / name).write_bytes(content)
    refused(folder / name, kind, says)


def test_gguf_is_known_by_its_content_whatever_its_name(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"GGUF")
    assert open_source(str(folder / "model.bin")).kind == "gguf"


def test_an_empty_folder_is_no_model(folder: Path) -> None:
    assert "config.json" in refused(folder, NotFoundError, "there is no model in")


def test_a_bundle_is_no_source(folder: Path) -> None:
    (folder / "bundle.json").write_text("{}")
    assert "sphere-edge run" in refused(folder, InvalidArgumentError, "is a bundle already")


@pytest.mark.parametrize(
    "reference",
    [
        "./nowhere",
        "nowhere",
        "a/b/c/d",
        "/no/where",
        "x.gguf",
        "",
        "a\0b",
        "x" * 5000,
        "~nobody_here/x/y",
    ],
)
def test_what_is_neither_path_nor_hub_id_is_not_asked_of_the_hub(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "owner/name" in refused(reference, NotFoundError, "there is no file or folder")


def test_a_revision_belongs_to_the_hub(folder: Path) -> None:
    with_safetensors(folder)
    refused(folder, InvalidArgumentError, "has no revision `v1`", wanted=Wanted(revision="v1"))


def test_a_folder_of_diffusers_is_an_image_model(folder: Path) -> None:
    with_safetensors(folder)
    (folder / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    assert open_source(str(folder)).kind == "diffusion"
    message = "is an image generation model (FluxPipeline)"
    refused(folder, UnsupportedError, message, wanted=Wanted("safetensors"))


def test_a_single_file_diffusion_checkpoint_is_known_by_its_tensors(folder: Path) -> None:
    name = "model.diffusion_model.input_blocks.0.0.weight"
    path = folder / "cute-cats.safetensors"
    safetensors.numpy.save_file({name: TENSORS["w"]}, path)
    for reference in (folder, path):
        assert open_source(str(reference)).kind == "diffusion"


def test_an_adapter_is_no_model(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    safetensors.numpy.save_file(TENSORS, folder / "adapter_model.safetensors")
    assert "merge" in refused(folder, UnsupportedError, "is an adapter")


def test_the_hash_follows_contents_and_not_places(folder: Path, tmp_path: Path) -> None:
    with_safetensors(folder)
    other = tmp_path / "other"
    other.mkdir()
    with_safetensors(other)
    (other / "README.md").write_text("not part of the model")
    first, second = open_source(str(folder)), open_source(str(other))
    assert source_sha256(first) == source_sha256(second)
    (other / "config.json").write_text('{"model_type": "qwen2"}')
    assert source_sha256(first) != source_sha256(second)


def test_a_model_that_went_away_is_a_storage_error(folder: Path) -> None:
    (folder / "a.gguf").write_bytes(b"GGUF")
    source = open_source(str(folder))
    (folder / "a.gguf").unlink()
    with pytest.raises(StorageError, match="cannot be read: No such file"):
        source_sha256(source)


@pytest.mark.parametrize(
    ("text", "name"),
    [("Qwen2.5-0.5B", "qwen2.5-0.5b"), ("..", "model"), ("é x", "x"), ("a" * 200, "a" * 96)],
)
def test_names_fit_a_manifest(text: str, name: str) -> None:
    assert slug(text) == name


def gguf_of(path: Path, kind: str, architecture: str = "llama") -> Path:
    """A GGUF that says what it is, with one tensor."""
    writer: Any = gguf.GGUFWriter(path, architecture)
    writer.add_type(kind)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", TENSORS["w"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_endings_are_read_in_upper_case_too(folder: Path) -> None:
    (folder / "MODEL.Q4.GGUF").write_bytes(b"GGUF")
    for reference in (folder, folder / "MODEL.Q4.GGUF"):
        source = open_source(str(reference))
        assert (source.kind, source.path) == ("gguf", folder / "MODEL.Q4.GGUF")
        assert source.files == (folder / "MODEL.Q4.GGUF",)
    assert source.name == "model.q4"
    parts = [folder / f"M-0000{number}-of-00002.GGUF" for number in (1, 2)]
    for part in parts:
        part.write_bytes(b"GGUF")
    assert open_source(str(parts[1])).files == tuple(parts)


def test_a_split_into_one_part_is_a_file_like_any(folder: Path) -> None:
    path = folder / "m-00001-of-00001.gguf"
    path.write_bytes(b"GGUF")
    assert open_source(str(path)).files == (path,)
    assert open_source(str(folder)).path == path


@pytest.mark.parametrize(
    "reference",
    ["models/typo.Q4_K_M.gguf", "models/TYPO.GGUF", "models/typo.safetensors", "dist/a.sphere"],
)
def test_a_mistyped_file_is_missing_and_not_asked_of_the_hub(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "owner/name" in refused(reference, NotFoundError, f"no file or folder `{reference}`")


def test_a_mistyped_file_of_a_folder_that_is_here_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "models" / "qwen").mkdir(parents=True)
    refused("models/qwen/typo.gguf", NotFoundError, "no file or folder")


@pytest.mark.parametrize("kind", ["mmproj", "imatrix", "adapter"])
def test_what_lies_beside_a_gguf_is_not_a_second_model(folder: Path, kind: str) -> None:
    gguf_of(folder / f"{kind}-model.gguf", kind)
    gguf_of(folder / "some.gguf", "model")
    assert open_source(str(folder)).path == folder / "some.gguf"


def test_hidden_files_are_no_part_of_a_model(folder: Path) -> None:
    (folder / "._some.gguf").write_bytes(b"\0\5\x16\7")
    (folder / "some.gguf").write_bytes(b"GGUF")
    assert open_source(str(folder)).path == folder / "some.gguf"
    (folder / "some.gguf").unlink()
    with_safetensors(folder)
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    for name in ("._weights.safetensors", "._weights.safetensors.index.json"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    source = open_source(str(folder))
    assert [path.name for path in source.files] == ["weights.safetensors", "config.json"]


def test_a_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.gguf")
    refused(folder / "pipe.gguf", InvalidArgumentError, "is neither a file nor a folder")
    with_safetensors(folder)
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(ModelCorruptError, match="is not a file"):
        ModelConfig.read(folder)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (safetensors.numpy.save(TENSORS)[:-4], "ends beyond the end of the file"),
        (safetensors.numpy.save(TENSORS)[:20], "too few"),
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>log in first</html>", "is a web page"),
        (b"\n<html>log in first</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
    ],
)
def test_a_damaged_file_is_called_damaged(folder: Path, content: bytes, says: str) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(content)
    for reference in (path, folder):
        assert refused(reference, ModelCorruptError, "is damaged") == "download the file again"
        refused(reference, ModelCorruptError, says)
    (folder / "m.gguf").write_bytes(content)
    refused(folder / "m.gguf", ModelCorruptError, "`m.gguf`")


def test_a_sound_part_of_a_model_is_still_called_that(folder: Path) -> None:
    with_safetensors(folder)
    assert str(folder) in refused(
        folder / "model.safetensors", UnsupportedError, "is a part of a model"
    )
