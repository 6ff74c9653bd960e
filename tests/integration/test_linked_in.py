"""A model whose object files an app has linked in, as iOS wants it, is found by its prefix.

Here the app is the runner, and the objects are ELF: the system's linker and loader are other ones
than Apple's, TVM's registry and the runtime's way to it are the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sphere_edge import packaging, profiles
from sphere_edge.bundle.manifest import bundle_id, render
from sphere_edge.bundle.read import Bundle
from sphere_edge.compiler import kernels
from sphere_edge.compiler.build import compile_objects
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.engines.compiled_code import symbol_prefix
from sphere_edge.errors import Status
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.graph import Limits, trace
from sphere_edge.models.registry import family
from sphere_edge.run import run
from sphere_edge.toolchain import compilers
from tests import runtimes

PROMPT = "What is the capital of France?"


def answer(folder: Path, exit_code: int = 0, **environment: str) -> Any:
    runner = runtimes.here().runner
    words = ["--temperature", "0", "--max-tokens", "16", "--backend", "cpu", "--json"]
    argv = [str(runner), "chat", str(folder), PROMPT, *words]
    done = run(argv, timeout_s=300, env=environment, check=False)
    assert done.exit_code == exit_code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def linked(gpu_bundle: Bundle, tmp_path: Path) -> Path:
    """The bundle with object files instead of libraries."""
    folder = shutil.copytree(gpu_bundle.folder, tmp_path / "linked")
    manifest = gpu_bundle.manifest
    assert manifest.text is not None
    assert manifest.tvm is not None
    shutil.rmtree(folder / "lib")
    (folder / "lib").mkdir()
    target = CpuTarget.of(manifest.target.triple, profiles.load(manifest.profile).cpu.features)
    found = family(ModelConfig.read(packaging.find("tiny").path), manifest.text.context_tokens)
    fmt = target.weight_format(manifest.quantization)
    model = found.build(kernels.for_target(target), fmt)
    limits = Limits(
        manifest.text.context_tokens,
        manifest.tvm.prefill_tokens,
        manifest.tvm.score_tokens,
        manifest.text.kv_dtype,
        manifest.tvm.decode_sequences or 0,
    )
    prefix = symbol_prefix(manifest.name)
    compile_objects(trace(model, limits).module, target, folder / "lib", prefix)
    document = json.loads((folder / "bundle.json").read_text())
    kept = [file for file in document["files"] if file["role"] != "library"]
    for path in sorted((folder / "lib").iterdir()):
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        name = f"lib/{path.name}"
        kept.append({"path": name, "bytes": len(content), "sha256": sha256, "role": "library"})
    document["files"] = sorted(kept, key=lambda file: str(file["path"]))
    document["target"]["backend"] = "cpu"
    del document["tvm"]["gpu"]
    document["id"] = bundle_id(document)
    (folder / "bundle.json").write_bytes(render(document))
    return folder


def test_the_runtime_finds_a_model_that_is_linked_into_its_program(
    gpu_bundle: Bundle, linked: Path, tmp_path: Path
) -> None:
    failed = answer(linked, exit_code=Status.LOAD_FAILED)["error"]
    assert failed["status"] == "LOAD_FAILED"
    assert "`sphere_edge_tiny_` is linked into this program" in failed["message"]
    app, runtime = tmp_path / "libapp.so", runtimes.here().folder / "lib"
    objects = sorted((linked / "lib").iterdir())
    words = ["-shared", *objects, f"-L{runtime}", "-ltvm_ffi", "-lm", "-o", app]
    run([compilers.zig(), "cc", *words], timeout_s=300, env=compilers.environment())
    environment = {"LD_PRELOAD": str(app), "LD_LIBRARY_PATH": str(runtime)}
    said = answer(linked, **environment)
    assert "Paris" in said["text"]
    assert said["text"] == answer(gpu_bundle.folder)["text"]
