"""`sphere-edge inspect` of a model: sizes in weights, and what a GGUF says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np

from sphere_edge.fit.memory import RUNTIME_BYTES
from tests import quantized_checkpoints as made
from tests import random_gguf
from tests.cli_process import in_process

CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "vocab_size": 100,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}


def inspected(model: Path) -> dict[str, object]:
    run = in_process("inspect", model, "--json")
    assert run.returncode == 0, run.stderr
    found: dict[str, object] = json.loads(run.stdout)
    return found


def test_a_packed_checkpoint_is_counted_in_weights(tmp_path: Path) -> None:
    quantized = {"quant_method": "gptq", "bits": 4, "group_size": 32}
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "quantization_config": quantized}))
    embedding = np.zeros((100, 64), np.float16)
    numbers = made.whole_numbers(24, 64, 32, symmetric=True)
    index = np.arange(64) // 32
    matrix = made.gptq("model.layers.0.mlp.up_proj", *numbers, index=index)
    arrays = {"model.embed_tokens.weight": ("f16", embedding), **matrix}
    made.write(tmp_path / "model.safetensors", arrays)
    assert inspected(tmp_path)["parameters"] == 100 * 64 + 24 * 64


def test_a_model_that_packaging_measures_is_said_to_need_more_perhaps(tmp_path: Path) -> None:
    for name, rows, expected in (("small", 100, False), ("measured", 330_000, True)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": rows}))
        embedding = np.zeros((rows, 64), np.float16)
        made.write(folder / "model.safetensors", {"model.embed_tokens.weight": ("f16", embedding)})
        assert inspected(folder)["may_mix"] == expected
        shown = " ".join(in_process("inspect", folder).stdout.split())
        assert ("some of it as q8" in shown) == expected


def test_memory_is_counted_for_all_conversations_at_once(tmp_path: Path) -> None:
    model = str(random_gguf.write(tmp_path / "model.gguf"))
    needs = []
    for sequences in ("1", "4"):
        shown = in_process("inspect", model, "--sequences", sequences, "--json")
        needs.append(json.loads(shown.stdout)["fit"][0]["memory"]["kv_cache_bytes"])
    assert needs[1] == 4 * needs[0]
    refused = in_process("inspect", model, "--sequences", "65")
    assert "`65` for --sequences" in refused.stderr


def test_a_model_that_drafts_is_counted_too(tmp_path: Path) -> None:
    model = str(random_gguf.write(tmp_path / "model.gguf", layers=4))
    draft = str(random_gguf.write(tmp_path / "draft.gguf", layers=2))

    def needs(*words: str) -> dict[str, int]:
        shown = in_process("inspect", *words, "--sequences", "2", "--json")
        memory: dict[str, int] = json.loads(shown.stdout)["fit"][0]["memory"]
        return memory

    alone, beside, both = needs(model), needs(draft), needs(model, "--draft-model", draft)
    for name in ("weights_bytes", "kv_cache_bytes", "workspace_bytes"):
        assert both[name] == alone[name] + beside[name]
    assert both["peak_bytes"] == alone["peak_bytes"] + beside["peak_bytes"] - RUNTIME_BYTES
    refused = in_process("inspect", model, "--draft-model", "tiny-image")
    assert "cannot draft" in refused.stderr


def test_a_gguf_shows_its_metadata_and_tensors(tmp_path: Path) -> None:
    path = random_gguf.write(tmp_path / "some.gguf")
    found = inspected(path)
    assert found["metadata"]["general.architecture"] == "llama"  # type: ignore[index]
    assert found["metadata"]["tokenizer.ggml.tokens"][-1] == "<|assistant|>"  # type: ignore[index]
    assert found["tensors"] == {"f32": 2 * 9 + 3}
    assert (found["parts"], found["generates_text"]) == (1, True)
    by_profile = {one["profile"]: one for one in found["fit"]}  # type: ignore[attr-defined]
    card, phone = by_profile["generic-cuda-sm86"], by_profile["pixel8"]
    sizes = [card["memory"][f"{part}_bytes"] for part in ("weights", "kv_cache", "workspace")]
    assert (card["gpu_bytes"], card["gpu_room_bytes"]) == (sum(sizes), 6 * 2**30)
    assert (phone["gpu_bytes"], phone["gpu_room_bytes"]) == (None, None)
    shown = in_process("inspect", path).stdout
    assert " of 6.00 GiB" in shown
    assert "llama.context_length" in shown
    assert "21 as f32" in shown


def test_a_split_gguf_is_shown_whole(tmp_path: Path) -> None:
    whole = inspected(random_gguf.write(tmp_path / "whole.gguf"))
    first = random_gguf.write(tmp_path / "split.gguf", tensors_a_part=8)
    split = inspected(first)
    assert split["parts"] == 3
    assert split["parameters"] == whole["parameters"]
    assert split["weights_bytes"] == whole["weights_bytes"]


def test_hostile_metadata_stay_data(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "qwen3")
    for key, size in (("context", 64), ("embedding", 64), ("feed_forward", 64)):
        writer.add_uint32(f"qwen3.{key}_length", size)
    writer.add_block_count(1)
    writer.add_head_count(4)
    writer.add_vocab_size(8)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_float32("evil.number", float("nan"))
    writer.add_string("evil.text", "\x1b[2J\x07")
    writer.add_tensor("token_embd.weight", np.zeros((8, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = inspected(tmp_path / "model.gguf")
    assert found["generates_text"] is False
    assert found["metadata"]["evil.number"] == "nan"  # type: ignore[index]
    shown = in_process("inspect", tmp_path / "model.gguf").stdout
    assert "embedding model" in shown
    assert "\x1b" not in shown
