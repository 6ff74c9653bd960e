"""`sphere-edge eval` on the built-in model: what 4 bits cost is measured, recorded and shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sphere_edge.errors import Status
from tests.cli_process import in_process, refused


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    run = in_process("package", "tiny", "-o", "tiny.host", cwd=folder)
    assert run.returncode == 0, run.stderr
    return folder / "tiny.host"


def test_four_bits_cost_little_and_the_bundle_says_so(bundle: Path) -> None:
    before = json.loads((bundle / "bundle.json").read_text())
    run = in_process("eval", bundle, "--record", "--json")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert 0 < told["kl_divergence"]["value"] < 0.01
    assert told["top1_agreement"]["value"] > 0.98
    assert 1 < told["reference_perplexity"]["value"] < 1.5
    after = json.loads((bundle / "bundle.json").read_text())
    assert after["id"] != before["id"]
    assert after["files"] == before["files"]
    assert in_process("verify", bundle).stdout == after["id"] + "\n"
    assert "KL divergence" in in_process("inspect", bundle).stdout
    assert in_process("run", bundle, "Hello").returncode == 0


def test_a_bundle_against_itself_loses_nothing(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("What is the capital of France? " * 20)
    words = ["eval", bundle, "--against", bundle, "--text", tmp_path / "a.txt", "--json"]
    told = json.loads(in_process(*words, "--window", "64").stdout)
    assert told["kl_divergence"]["value"] == 0
    assert told["top1_agreement"]["value"] == 1
    assert told["window_tokens"] == 64


def test_a_gguf_is_compared_with_a_gguf_by_llama_cpp(tmp_path: Path) -> None:
    for name in ("f16", "q4_0"):
        words = ["package", "tiny", "--format", "gguf", "--quant", name, "-o", tmp_path / name]
        run = in_process(*words)
        assert run.returncode == 0, run.stderr
    words = ["eval", tmp_path / "q4_0", "--against", tmp_path / "f16/model.gguf", "--json"]
    run = in_process(*words)
    assert run.returncode == 0, run.stderr
    assert 0 < json.loads(run.stdout)["kl_divergence"]["value"] < 0.05


def test_bad_input_is_refused(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("Grüße".encode("latin-1") * 20)
    bad = Status.INVALID_ARGUMENT
    refused(in_process("eval", bundle, "--text", tmp_path / "latin.txt"), bad, "not UTF-8")
    refused(in_process("eval", bundle, "--text", tmp_path / "none"), Status.NOT_FOUND, "`")
    for name in ("empty.txt", "empty.jsonl"):
        (tmp_path / name).touch()
        words = ("eval", bundle, "--against", bundle, "--text", tmp_path / name)
        refused(in_process(*words), bad)
    refused(in_process("eval", bundle, "--plot", "kl.doc"), bad, "`kl.doc`")
    refused(in_process("eval", tmp_path, "--record"), bad, "recorded")
