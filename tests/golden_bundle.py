"""A small bundle for tests, made anew wherever one is wanted."""

from __future__ import annotations

import json
from pathlib import Path

from sphere_edge.bundle.manifest import (
    CacheLayer,
    ManifestDraft,
    Memory,
    Provenance,
    Target,
    Text,
    Tvm,
    bundle_id,
    render,
)
from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.write import BundleWriter

GOLDEN = Path(__file__).parent / "data" / "golden.bundle"
FILES = {
    "lib/model.so": b"machine code",
    "tokenizer.gguf": b"GGUF vocabulary",
    "weights/model-00001.safetensors": bytes(range(256)) * 4,
    "LICENSE": b"Apache-2.0",
}


def draft() -> ManifestDraft:
    return ManifestDraft(
        name="golden",
        task="text",
        engine="tvm",
        family="llama",
        quantization="q4",
        parameters=1000,
        profile="generic-x86-64-v3",
        target=Target(
            triple="x86_64-unknown-linux-gnu", cpu_features=("avx2", "fma", "f16c"), backend="cpu"
        ),
        text=Text(vocab_size=32, context_tokens=64, kv_dtype="float16"),
        tvm=Tvm(
            parameters=("embed.data",),
            cache=(CacheLayer(kv_heads=1, key_dim=8, value_dim=8),),
            prefill_tokens=32,
            score_tokens=8,
        ),
        memory=Memory(
            weights_bytes=1024, kv_cache_bytes=2048, workspace_bytes=512, peak_bytes=4096
        ),
        provenance=Provenance(
            source="tiny", source_sha256="0" * 64, tools={"sphere-edge": "0.1.0"}
        ),
    )


def fill(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def make(output: Path, *, force: bool = False) -> Bundle:
    with BundleWriter(output, force=force) as writer:
        fill(writer.folder)
        return writer.commit(draft())


def rewrite(folder: Path, **changes: object) -> None:
    """bundle.json with `changes` and the id that goes with them, as an attacker would make it."""
    document = json.loads((folder / "bundle.json").read_text())
    document.update(changes)
    document["id"] = bundle_id(document)
    (folder / "bundle.json").write_bytes(render(document))
