"""Speculative decoding: drafts decide when a text comes, never what it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sphere_edge import errors, packaging
from sphere_edge.engines.options import PackageOptions
from sphere_edge.runtime.generation import Result
from sphere_edge.runtime.text import TextManager
from tests import made_bundles, manifest_corpus, random_gguf, random_recurrent

LIST = "\n".join(f"item {number}: the cat sat on the mat" for number in range(12))
PROMPTS = (
    *(LIST, LIST[:100], "a b c " * 20, "ha" * 40, "x", "What colour is the sky over Åland 🌊?"),
    "Nothing here is said twice, or so it seemed before 1984.",
    *(f"{number} squared is {number * number}. " * 3 for number in range(6)),
)
GREEDY: dict[str, Any] = {"temperature": 0.0, "ignore_end_of_text": True}
# With a number of tokens no clock decides.
LOOKUP: dict[str, Any] = {"draft": "prompt_lookup", "draft_tokens": 7}
SAMPLED: dict[str, Any] = {
    "temperature": 0.9,
    "top_k": 0,
    "top_p": 0.95,
    "repeat_penalty": 1.05,
    "ignore_end_of_text": True,
}


def bundle(quantization: str) -> Path:
    options = PackageOptions(quantization=quantization)
    return made_bundles.made(packaging.TINY, options=options).folder


def without_batches(folder: Path, made: Path) -> Path:
    """The bundle as it was before compiled models had `decode_batch`."""
    shutil.copytree(folder, made)
    manifest = json.loads((made / "bundle.json").read_text())
    del manifest["tvm"]["decode_sequences"]
    manifest_corpus.write(made, manifest)
    return made


@pytest.fixture(scope="module", params=["gguf", "q4", "f32", "old q4"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each engine and each way to check drafts: exact sums of products, rounded ones, `score`."""
    if request.param == "gguf":
        return random_gguf.write(tmp_path_factory.mktemp("model") / "random.gguf")
    if request.param == "old q4":
        return without_batches(bundle("q4"), tmp_path_factory.mktemp("model") / "old")
    return bundle(request.param)


def open_with(model: Path, **options: Any) -> TextManager:
    # ggml's threads spin while they wait for one another: on busy cores two are slower than one.
    threads = 1 if model.suffix == ".gguf" else 2
    return TextManager.open(model, threads=threads, **{"context_tokens": 512, **options})


@pytest.fixture(scope="module")
def opened(model: Path) -> Iterator[TextManager]:
    with open_with(model) as text:
        yield text


@pytest.fixture
def text(opened: TextManager) -> TextManager:
    opened.reset()
    return opened


def said(text: TextManager, prompt: str, **request: Any) -> tuple[str, Result]:
    answer = text.generate(prompt, **{"max_tokens": 60, **request})
    return answer.text(), answer.result


def assert_same(text: TextManager, prompt: str, **request: Any) -> Result:
    """The text with drafts is the one without, and so is everything else but the figures.

    Both begin anew: the last token of a prompt is rounded otherwise alone than with the others.
    """
    text.reset()
    plain, usual = said(text, prompt, **request)
    text.reset()
    drafted, result = said(text, prompt, **{**LOOKUP, **request})
    assert drafted == plain
    assert (usual.draft_tokens, usual.accepted_tokens) == (0, 0)
    for name in ("finish_reason", "prompt_tokens", "completion_tokens", "stop_index"):
        assert getattr(result, name) == getattr(usual, name)
    assert result.draft_tokens >= result.accepted_tokens
    return result


def test_greedy_texts_are_the_same_and_drafts_are_accepted(text: TextManager) -> None:
    results = [assert_same(text, prompt, **GREEDY) for prompt in PROMPTS]
    assert sum(result.accepted_tokens for result in results) > 0
    # Random weights repeat nothing of themselves.
    refrain = {"temperature": 0.0, "grammar": 'root ::= ("the cat sat on the mat; "){4,}'}
    assert assert_same(text, "x", **refrain).accepted_tokens > 10


@pytest.mark.parametrize("draft_tokens", [0, 1, 2, 31])
def test_drafts_of_any_length_give_the_same_text(text: TextManager, draft_tokens: int) -> None:
    for prompt in PROMPTS[:4]:
        assert_same(text, prompt, draft_tokens=draft_tokens, **GREEDY)


def test_a_seed_gives_the_same_text_with_drafts(text: TextManager) -> None:
    for seed in range(12):
        assert_same(text, PROMPTS[seed % len(PROMPTS)], seed=seed, **SAMPLED)


def test_every_length_and_every_stop_is_kept(text: TextManager) -> None:
    whole, _ = said(text, LIST, **GREEDY)
    for length in range(1, 30):
        assert_same(text, LIST, **{**GREEDY, "max_tokens": length})
    for at in range(0, len(whole) - 2, 3):
        stop = whole[at : at + 2]
        if "\0" not in stop:
            assert_same(text, LIST, stop=["never said", stop], **GREEDY)
    for token in set(text.tokenize(whole, add_special=False)):
        assert_same(text, LIST, stop_token_ids=[token], **GREEDY)


def test_a_full_context_ends_the_text_at_the_same_token(model: Path) -> None:
    with open_with(model, context_tokens=256) as text:
        prompt = text.detokenize(text.tokenize(LIST * 4)[:230])
        result = assert_same(text, prompt, **{**GREEDY, "max_tokens": 0})
        assert result.finish_reason == "length"
        assert result.prompt_tokens + result.completion_tokens == 257


def test_penalties_grammars_bias_and_log_probabilities_keep_their_meaning(
    text: TextManager,
) -> None:
    for request in (
        {"repeat_penalty": 1.3, "frequency_penalty": 0.4},
        {"dry_multiplier": 0.8},
        {"grammar": 'root ::= ("the cat sat on the mat" | "item" | " ")+'},
        {"json_schema": {"type": "array", "items": {"enum": ["cat", "mat"]}, "minItems": 3}},
        {"logit_bias": {text.tokenize("a", add_special=False)[0]: 3.0}},
        {"xtc_probability": 0.5, "xtc_threshold": 0.1, "seed": 5, "temperature": 0.7},
    ):
        end = {"ignore_end_of_text": "grammar" not in request and "json_schema" not in request}
        assert_same(text, LIST, **{"temperature": 0.0, **end, **request})


def test_log_probabilities_are_those_of_the_same_tokens(text: TextManager) -> None:
    def logprobs(**request: Any) -> list[Any]:
        text.reset()
        answer = text.generate(LIST, max_tokens=40, top_logprobs=2, **GREEDY, **request)
        return [one for delta in answer.deltas() for one in delta.logprobs]

    plain, drafted = logprobs(), logprobs(**LOOKUP)
    assert [one.token_id for one in plain] == [one.token_id for one in drafted]
    assert [one.logprob for one in plain] == pytest.approx(
        [one.logprob for one in drafted], abs=1e-3
    )


def test_a_text_is_cancelled_at_every_piece(text: TextManager) -> None:
    whole, _ = said(text, LIST, **GREEDY)
    for count in range(1, 12):
        answer = text.generate(LIST, max_tokens=60, **GREEDY, **LOOKUP)
        pieces = [next(answer) for _ in range(count)]
        answer.close()
        assert whole.startswith("".join(pieces))
        # What was computed and not said is not in the way of the next call.
        assert said(text, LIST, **GREEDY)[0] == whole


def test_time_runs_out_as_ever(text: TextManager) -> None:
    with pytest.raises(errors.TimeoutError):
        said(text, LIST, timeout_s=0.001, **{**GREEDY, **LOOKUP, "max_tokens": 0})


def test_a_conversation_is_saved_and_goes_on_after_drafts(
    text: TextManager, tmp_path: Path
) -> None:
    refrain = {"temperature": 0.0, "grammar": 'root ::= ("the cat sat on the mat; "){4,}'}
    first, result = said(text, LIST, **refrain, **LOOKUP)
    assert result.accepted_tokens > 10
    tokens = text.save(tmp_path / "saved")
    assert tokens >= len(text.tokenize(LIST))
    expected, _ = said(text, LIST + first + " and", **GREEDY)
    text.reset()
    assert text.restore(tmp_path / "saved") == tokens
    again, result = said(text, LIST + first + " and", **GREEDY, **LOOKUP)
    assert again == expected
    assert result.cached_tokens > len(text.tokenize(LIST)) - 2


def test_chats_at_once_are_each_as_alone(model: Path) -> None:
    def answers(text: TextManager, number: int, **request: Any) -> list[str]:
        key = f"chat {number}"
        return [
            said(text, f"{number}: {prompt}", sequence_key=key, **GREEDY, **request)[0]
            for prompt in PROMPTS
        ]

    with open_with(model) as text:
        alone = [answers(text, number) for number in range(4)]
    with open_with(model, sequences=4) as text, ThreadPoolExecutor(4) as pool:
        kinds: list[dict[str, Any]] = [LOOKUP, {}, LOOKUP, {**LOOKUP, "draft_tokens": 31}]
        jobs = [pool.submit(answers, text, i, **kind) for i, kind in enumerate(kinds)]
        assert [job.result() for job in jobs] == alone


def test_a_prediction_is_drafted_from(text: TextManager) -> None:
    if text.info.engine == "llama":
        fox = "The quick brown fox jumps over the lazy dog and runs away."
        prompt, request = "x", {"temperature": 0.0, "grammar": f'root ::= "{fox}"'}
    else:
        # What it was trained to say comes in the tokens that the tokenizer would make of it.
        prompt = text.render_chat([{"role": "user", "content": "What colour is the sky?"}])
        request, fox = {"temperature": 0.0}, "The sky is blue."
    plain, result = said(text, prompt, **request, **LOOKUP)
    assert plain == fox
    without = result.accepted_tokens
    drafted, result = said(text, prompt, prediction=fox, **request, **LOOKUP)
    assert drafted == fox
    assert result.accepted_tokens > without
    other, _ = said(text, prompt, prediction="something else " * 9, **request, **LOOKUP)
    assert other == fox


def test_a_model_that_drafts_for_itself_is_always_right(model: Path) -> None:
    with open_with(model) as text:
        expected = [said(text, prompt, **GREEDY)[0] for prompt in PROMPTS]
        assert text.info.draft_model_bytes == 0
    with open_with(model, draft_model=model) as text:
        assert text.info.draft_model_bytes == text.info.weights_bytes + text.info.kv_cache_bytes
        answers = [said(text, prompt, draft_tokens=7, **GREEDY) for prompt in PROMPTS]
        assert [answer for answer, _ in answers] == expected
        drafted = sum(result.draft_tokens for _, result in answers)
        # Those behind the last token that was asked for are in vain, and few were unsure.
        assert sum(result.accepted_tokens for _, result in answers) > 0.8 * drafted
        assert said(text, LIST, draft="off", **GREEDY)[1].draft_tokens == 0


def test_another_model_drafts_in_vain_and_the_text_is_the_same(tmp_path: Path) -> None:
    model = random_gguf.write(tmp_path / "model.gguf")
    draft = random_gguf.write(tmp_path / "draft.gguf", seed=11, layers=1, context=200)
    with open_with(model, sequences=2) as text:
        expected = [said(text, prompt, **GREEDY)[0] for prompt in PROMPTS]
        sampled = [said(text, prompt, seed=5, **SAMPLED)[0] for prompt in PROMPTS]
    with open_with(model, sequences=2, draft_model=draft) as text:
        assert [said(text, prompt, **GREEDY)[0] for prompt in PROMPTS] == expected
        drafts = {**GREEDY, "draft_tokens": 7}
        assert [said(text, prompt, **drafts)[0] for prompt in PROMPTS] == expected
        assert [said(text, prompt, seed=5, **SAMPLED)[0] for prompt in PROMPTS] == sampled


def test_a_gguf_drafts_for_a_compiled_model_only_with_its_tokens(tmp_path: Path) -> None:
    other = random_gguf.write(tmp_path / "other.gguf")
    with pytest.raises(errors.FormatMismatchError, match=r"its token `\d+` is .* and that of"):
        open_with(bundle("q4"), draft_model=other)
    with (
        open_with(bundle("f32")) as plain,
        open_with(bundle("f32"), draft_model=bundle("q4")) as text,
    ):
        for prompt in PROMPTS:
            drafted, _ = said(text, prompt, draft_tokens=3, **GREEDY)
            assert drafted == said(plain, prompt, **GREEDY)[0]


def test_what_cannot_be_is_refused_by_name(text: TextManager, tmp_path: Path) -> None:
    for request, words in (
        ({"draft": "model"}, "no draft model"),
        ({"draft": "oracle"}, "`oracle`"),
        ({"draft": "prompt_lookup", "draft_tokens": 32}, "draft_tokens"),
        ({"prediction": "x"}, "prediction"),
    ):
        with pytest.raises(errors.InvalidArgumentError, match=words):
            said(text, "x", **request)
    with pytest.raises(errors.NotFoundError):
        random = random_gguf.write(tmp_path / "random.gguf")
        open_with(random, draft_model=tmp_path / "nowhere.gguf")


def test_a_model_that_cannot_go_back_says_so(tmp_path: Path) -> None:
    mamba = random_recurrent.write(tmp_path / "mamba.gguf")
    with open_with(mamba) as text:
        assert not text.info.speculates
        assert said(text, "the ", **GREEDY)[1].completion_tokens == 60
        with pytest.raises(errors.UnsupportedError, match="`mamba`"):
            said(text, "the ", **GREEDY, **LOOKUP)
    plain = random_gguf.write(tmp_path / "random.gguf")
    with pytest.raises(errors.UnsupportedError, match="`mamba`"):
        open_with(plain, draft_model=mamba)
    with pytest.raises(errors.UnsupportedError, match="`mamba`"):
        open_with(mamba, draft_model=plain)
