"""Several conversations on a GPU: one batch decodes them, and each goes on as it would alone."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import goldens
import numpy as np
import opencl_kernels
import pytest
from compiled import Compiled

from sphere_edge import errors, packaging, profiles
from sphere_edge.bundle.read import Bundle
from sphere_edge.compiler import kernels
from sphere_edge.compiler.build import compile_module
from sphere_edge.compiler.target import GpuTarget
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.graph import Limits, trace
from sphere_edge.models.registry import family
from sphere_edge.runtime.text import TextManager
from tests import manifest_corpus

SEQUENCES = 4
GREEDY = {"temperature": 0.0, "ignore_end_of_text": True}


@pytest.fixture(scope="module", params=["batch", "one by one"])
def opened(
    request: pytest.FixtureRequest, gpu_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TextManager]:
    """With the function for a batch, and as bundles were when only the CPU's code had it."""
    folder = gpu_bundle.folder
    if request.param == "one by one":
        folder = without_batch(gpu_bundle, tmp_path_factory.mktemp("old") / "old")
    with TextManager.open(folder, backend="opencl", sequences=SEQUENCES) as text:
        yield text


def without_batch(bundle: Bundle, made: Path) -> Path:
    """A copy whose GPU code lacks the function that its manifest names for the CPU."""
    shutil.copytree(bundle.folder, made)
    text, tvm = bundle.manifest.text, bundle.manifest.tvm
    assert text is not None
    assert tvm is not None
    assert tvm.gpu is not None
    target = GpuTarget.of(profiles.load(bundle.manifest.profile))
    found = family(ModelConfig.read(packaging.find("tiny").path), text.context_tokens)
    fmt = target.weight_format(bundle.manifest.quantization)
    model = found.build(kernels.for_target(target), fmt)
    limits = Limits(text.context_tokens, tvm.prefill_tokens, tvm.score_tokens, text.kv_dtype)
    library = made / tvm.gpu.library
    compile_module(trace(model, limits).module, target, library)
    content = library.read_bytes()
    manifest = json.loads((made / "bundle.json").read_text())
    for file in manifest["files"]:
        if file["path"] == tvm.gpu.library:
            file |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest_corpus.write(made, manifest)
    return made


@pytest.fixture
def text(opened: TextManager) -> TextManager:
    opened.reset()
    return opened


def prompts(conversation: int) -> Iterator[str]:
    """Of one conversation: it grows, and now and then it goes back to where it was."""
    secret = f"The secret of number {conversation} is {1000 + 137 * conversation}. "
    for call in range(8):
        yield secret + " ".join(f"{conversation}{line}" for line in range(call % 5))


def answers(text: TextManager, conversation: int) -> list[tuple[str, int]]:
    """The text and the cached tokens of each call."""
    result = []
    for prompt in prompts(conversation):
        key = f"conversation {conversation}"
        answer = text.generate(prompt, max_tokens=4, sequence_key=key, **GREEDY)
        result.append((answer.text(), answer.result.cached_tokens))
    return result


def test_conversations_in_company_are_those_alone(text: TextManager, gpu_bundle: Bundle) -> None:
    assert (text.info.backend, text.info.sequences) == ("opencl", SEQUENCES)
    with ThreadPoolExecutor(SEQUENCES) as pool:
        together = list(pool.map(answers, [text] * SEQUENCES, range(SEQUENCES)))
    with TextManager.open(gpu_bundle.folder, backend="opencl") as alone:
        assert text.info.kv_cache_bytes == SEQUENCES * alone.info.kv_cache_bytes
        for conversation, found in enumerate(together):
            alone.reset()
            assert found == answers(alone, conversation)
    assert all(max(cached for _, cached in found) > 10 for found in together)


def test_what_happens_to_one_call_does_not_reach_the_others(text: TextManager) -> None:
    wanted = {"max_tokens": 60, **GREEDY}
    alone = [text.generate(f"{i}: the", **wanted).text() for i in range(2)]
    generations = [text.generate(f"{i}: the", **wanted) for i in range(2)]
    cancelled = text.generate("on and on", **GREEDY)
    next(cancelled)
    cancelled.cancel()
    cancelled.text()
    assert cancelled.result.finish_reason == "cancelled"
    with pytest.raises(errors.InvalidArgumentError):
        text.generate("on and on", grammar="root ::= (", **GREEDY).text()
    assert [generation.text() for generation in generations] == alone


def test_drafts_are_checked_in_a_batch_and_change_no_text(text: TextManager) -> None:
    prompt = "the cat sat on the mat; " * 4
    wanted = {"max_tokens": 24, **GREEDY}
    plain = text.generate(prompt, **wanted).text()
    text.reset()
    drafted = text.generate(prompt, draft="prompt_lookup", draft_tokens=7, **wanted)
    assert drafted.text() == plain
    assert drafted.result.draft_tokens > 0


@pytest.mark.parametrize(
    "name",
    [
        "phi3_longrope_long",
        *(
            pytest.param(name, marks=pytest.mark.group("gpu"))
            for name in ("gemma2_alternating", "mistral_window", "qwen3_biases_layer_types")
        ),
    ],
)
def test_tokens_of_several_sequences_agree_with_transformers(name: str, tmp_path: Path) -> None:
    """In float32; where long texts have another rotation, one of the sequences is long."""
    golden = goldens.load(name)
    device = opencl_kernels.device()
    folder = goldens.write_checkpoint(golden, tmp_path)
    target = opencl_kernels.target("generic")
    model = Compiled(folder, folder / "made", "f32", target, device=device)
    model.forget(len(golden.token_ids))
    end, prompt = golden.positions[-1], golden.prompt_tokens
    short = model.cached(golden.token_ids[:prompt])
    long = model.cached(golden.token_ids[:end])
    positions = [prompt, end, prompt - 1, prompt, end]
    tokens = [golden.token_ids[position] for position in positions]
    found = model.decode_batch(tokens, positions, [short, long, short, short, long])
    rows = golden.rows[[golden.positions.index(position) for position in positions]]
    assert np.abs(found - rows).max() < 1e-4 * np.abs(rows).max()
    assert np.array_equal(found[0], found[3])
    assert np.array_equal(found[1], found[4])
