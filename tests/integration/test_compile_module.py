"""Compiled modules: the same bytes from any process and folder, and code for other systems."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

_COMPILE = """
import json, sys
from pathlib import Path
from sphere_edge.compiler import kernels
from sphere_edge.compiler.build import compile_module
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models import registry
from sphere_edge.models.graph import Limits, trace

folder, triple, isa = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
config = {
    "model_type": "qwen2", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 1e4,
    "tie_word_embeddings": True, "hidden_act": "silu",
}
(folder / "config.json").write_text(json.dumps(config))
family = registry.family(ModelConfig.read(folder), 64)
target = CpuTarget(triple, isa)
model = family.build(kernels.for_target(target), target.weight_format("q4"))
compile_module(trace(model, Limits(64, 32, 8)).module, target, folder / "model.so")
"""


def _compiled(folder: Path, triple: str, isa: str, seed: int = 0) -> bytes:
    folder.mkdir(parents=True)
    # Sets and dicts of objects come in another order for another seed.
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    words = [sys.executable, "-c", _COMPILE, str(folder), triple, isa]
    subprocess.run(words, check=True, env=environment)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.so"]
    return (folder / "model.so").read_bytes()


def test_the_same_model_gives_the_same_bytes_from_any_process_and_folder(tmp_path):
    first = _compiled(tmp_path / "here", "x86_64-linux-gnu", "avx2", seed=1)
    second = _compiled(tmp_path / "there" / "deeper", "x86_64-linux-gnu", "avx2", seed=2)
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    assert str(tmp_path).encode() not in first


@pytest.mark.parametrize(
    ("triple", "isa"),
    [("aarch64-linux-gnu", "neon_dotprod"), ("aarch64-linux-android", "neon_dotprod")],
)
def test_a_model_is_compiled_and_linked_for_arm(tmp_path, triple, isa):
    library = _compiled(tmp_path / "arm", triple, isa)
    assert library.startswith(b"\x7fELF\x02\x01")
    # e_machine of ELF: 183 is AArch64.
    assert int.from_bytes(library[18:20], "little") == 183
