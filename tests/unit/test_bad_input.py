"""Damaged and missing models through the command line: a sentence, a hint, the code, no trace."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from sphere_edge import resources
from sphere_edge.errors import Status
from tests.cli_process import in_process, refused, sphere_edge
from tests.loopback_hub import LoopbackHub

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden.bundle"
WEIGHTS = safetensors.numpy.save({"w": np.zeros((8, 8), np.float32)})


def header(text: str, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text.encode() + data


def overlapping() -> bytes:
    places = {"a": [0, 8], "b": [4, 12]}
    tensors = {n: {"dtype": "F32", "shape": [2], "data_offsets": at} for n, at in places.items()}
    return header(json.dumps(tensors), bytes(12))


def with_weights(content: bytes) -> Callable[[Path], None]:
    return lambda model: (model / "model.safetensors").write_bytes(content) and None


def without_a_shard(model: Path) -> None:
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"w": "model-00002-of-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))


def only_a_gguf(content: bytes) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        (model / "model.safetensors").unlink()
        (model / "model.gguf").write_bytes(content)

    return change


def of_an_unknown_family(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "model_type": "mamba"}))


CASES: dict[str, tuple[Callable[[Path], None], Status, str]] = {
    "a truncated header": (with_weights(WEIGHTS[:20]), Status.MODEL_CORRUPT, "too few"),
    "truncated data": (with_weights(WEIGHTS[:-8]), Status.MODEL_CORRUPT, "beyond the end"),
    "overlapping tensors": (with_weights(overlapping()), Status.MODEL_CORRUPT, "`b` overlaps"),
    "an oversized header": (
        with_weights(struct.pack("<Q", 2**40) + b"{}"),
        Status.MODEL_CORRUPT,
        "too few",
    ),
    "a missing shard": (without_a_shard, Status.NOT_FOUND, "model-00002-of-00002"),
    "a truncated GGUF": (only_a_gguf(b"GGUF\x03\0\0\0" + bytes(9)), Status.MODEL_CORRUPT, "GGUF"),
    "an unknown family": (of_an_unknown_family, Status.UNSUPPORTED, "supported: llama, mistral"),
    "a GGUF of wrong magic": (only_a_gguf(b"GGML" + bytes(60)), Status.MODEL_CORRUPT, "GGUF"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_ends_in_one_sentence(tmp_path: Path, name: str) -> None:
    change, code, says = CASES[name]
    model = shutil.copytree(resources.tiny_model(), tmp_path / "model")
    change(model)
    refused(in_process("inspect", model, cwd=tmp_path), code, says)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_bundle_whose_paths_leave_it_is_refused(tmp_path: Path) -> None:
    bundle = shutil.copytree(GOLDEN, tmp_path / "bundle")
    manifest = (bundle / "bundle.json").read_text()
    (bundle / "bundle.json").write_text(manifest.replace("tokenizer.gguf", "../secret.gguf"))
    refused(in_process("verify", bundle), Status.MODEL_CORRUPT, "files.2.path")


def test_a_hub_that_is_down_is_one_sentence_and_leaves_no_bundle(tmp_path: Path) -> None:
    with LoopbackHub({}) as hub:
        hub.stop()
        run = sphere_edge(
            *("package", "owner/model", "-o", "out"),
            cwd=tmp_path,
            HF_ENDPOINT=hub.endpoint,
            HF_HOME=str(tmp_path / "hub"),
            HF_HUB_OFFLINE="0",
        )
    refused(run, Status.UNAVAILABLE)
    assert {path.name for path in tmp_path.iterdir()} <= {"hub"}


@pytest.mark.parametrize("page", ["bad-input", "reliability"])
def test_every_test_that_the_list_names_is_there(page: str) -> None:
    told = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / f"docs/{page}.md").read_text())
    assert len(told) > 30
    for path, name in told:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"
