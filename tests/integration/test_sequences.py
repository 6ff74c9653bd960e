"""Many conversations at once on one TextManager: each goes on as it would alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sphere_edge import errors, packaging
from sphere_edge.engines.options import PackageOptions
from sphere_edge.runtime.generation import Generation
from sphere_edge.runtime.text import TextManager
from tests import made_bundles, random_gguf

SEQUENCES = 4
CALLS = 250
GREEDY = {"temperature": 0.0, "ignore_end_of_text": True}


@pytest.fixture(scope="module", params=["gguf", "q4", "f32"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each engine; compiled code with exact sums of products, and with rounded ones."""
    if request.param == "gguf":
        return random_gguf.write(tmp_path_factory.mktemp("model") / "random.gguf")
    options = PackageOptions(quantization=request.param)
    return made_bundles.made(packaging.TINY, options=options).folder


def open_with(model: Path, sequences: int = 1) -> TextManager:
    # ggml's threads spin while they wait for one another: on busy cores two are slower than one.
    threads = 1 if model.suffix == ".gguf" else 2
    return TextManager.open(model, threads=threads, context_tokens=1024, sequences=sequences)


@pytest.fixture(scope="module")
def opened(model: Path) -> Iterator[TextManager]:
    with open_with(model, SEQUENCES) as text:
        yield text


@pytest.fixture
def text(opened: TextManager) -> TextManager:
    """Open once, as fresh as new."""
    opened.reset()
    return opened


def endless(text: TextManager, prompt: str = "on and on") -> Generation:
    """An answer that runs until the context is full; it has begun."""
    generation = text.generate(prompt, **GREEDY)
    next(generation)
    return generation


def prompts(conversation: int) -> Iterator[str]:
    """Of one conversation: it grows, and now and then it goes back to where it was."""
    secret = f"The secret of number {conversation} is {1000 + 137 * conversation}. "
    for call in range(CALLS):
        yield secret + " ".join(f"{conversation}{line}" for line in range(call % 12))


def answers(text: TextManager, conversation: int) -> list[tuple[str, int]]:
    """The text and the cached tokens of each call."""
    result = []
    for prompt in prompts(conversation):
        key = f"conversation {conversation}"
        answer = text.generate(prompt, max_tokens=3, sequence_key=key, **GREEDY)
        result.append((answer.text(), answer.result.cached_tokens))
    return result


def test_a_thousand_interleaved_calls_leak_nothing(model: Path, text: TextManager) -> None:
    with ThreadPoolExecutor(SEQUENCES) as pool:
        together = list(pool.map(answers, [text] * SEQUENCES, range(SEQUENCES)))
    for conversation, found in enumerate(together):
        with open_with(model) as alone:
            assert found == answers(alone, conversation)
    assert all(max(cached for _, cached in found) > 20 for found in together)


def test_every_sequence_has_the_whole_context(model: Path, text: TextManager) -> None:
    with open_with(model) as one:
        assert text.info.kv_cache_bytes == SEQUENCES * one.info.kv_cache_bytes
    assert (text.info.sequences, text.info.context_tokens) == (SEQUENCES, 1024)
    generations = [text.generate(f"{i}", **GREEDY) for i in range(SEQUENCES)]
    for generation in generations:
        generation.text()
        result = generation.result
        assert result.finish_reason == "length"
        assert result.prompt_tokens + result.completion_tokens == 1025


def disturb_by_cancel(text: TextManager) -> None:
    generation = endless(text)
    generation.cancel()
    generation.text()
    assert generation.result.finish_reason == "cancelled"


def disturb_by_time(text: TextManager) -> None:
    with pytest.raises(errors.TimeoutError):
        text.generate("on and on", timeout_s=0.02, max_tokens=0, **GREEDY).text()


def disturb_by_error(text: TextManager) -> None:
    with pytest.raises(errors.InvalidArgumentError):
        text.generate("on and on", grammar="root ::= (", **GREEDY).text()
    with pytest.raises(errors.InvalidArgumentError):
        text.chat([{"role": "nobody", "content": "x"}]).text()


def disturb_by_stop(text: TextManager) -> None:
    first = text.generate("on and on", max_tokens=8, **GREEDY).text()
    stopped = text.generate("on and on", max_tokens=8, stop=[first[1]], **GREEDY)
    assert stopped.text() == first[: first.index(first[1])]


def disturb_by_scoring(text: TextManager) -> None:
    tokens = text.tokenize("a few words of something else")
    text.score(tokens)
    text.logits(tokens)
    text.next_logits(tokens)
    text.reset()


@pytest.mark.parametrize(
    "disturb",
    [disturb_by_cancel, disturb_by_time, disturb_by_error, disturb_by_stop, disturb_by_scoring],
)
def test_what_happens_to_one_call_does_not_reach_the_others(
    text: TextManager, disturb: Callable[[TextManager], None]
) -> None:
    wanted = {"max_tokens": 300, **GREEDY}
    alone = [text.generate(f"{i}: the", **wanted).text() for i in range(2)]
    generations = [text.generate(f"{i}: the", **wanted) for i in range(2)]
    for _ in range(3):
        disturb(text)
    assert [generation.text() for generation in generations] == alone


def test_a_conversation_finds_its_own_cache_again(text: TextManager) -> None:
    """By its prompt alone, while others begin with the same words."""
    instructions = "You are a helpful assistant and answer in one sentence. " * 4
    first = [instructions + f"{i} " * 40 for i in range(SEQUENCES)]
    for prompt in first:
        text.generate(prompt, max_tokens=1, **GREEDY).text()
    for prompt in reversed(first):
        again = text.generate(f"{prompt} and more", max_tokens=1, **GREEDY)
        again.text()
        assert again.result.cached_tokens >= len(text.tokenize(prompt)) - 2


def test_more_calls_than_sequences_wait_for_their_turn(text: TextManager) -> None:
    busy = [endless(text, f"{i}") for i in range(SEQUENCES)]
    with pytest.raises(errors.TimeoutError):
        text.generate("late", timeout_s=0.05, **GREEDY).text()
    text.generate("late", **GREEDY).close()
    waiting = text.generate("late", max_tokens=4, **GREEDY)
    busy[0].close()
    assert waiting.text()
    for generation in busy:
        generation.close()


def test_an_answer_goes_on_while_a_long_prompt_is_computed(text: TextManager) -> None:
    generation = endless(text)
    tokens = text.tokenize("word " * 1000)[:900]
    before = len(generation._items)
    text.next_logits(tokens)
    # The prompt is computed in eight parts, and a step comes after each.
    seen = sum(1 for _ in zip(range(5), generation, strict=False))
    assert (before, seen) == (1, 5)
    assert generation.is_running
    generation.close()


def test_closing_ends_all_calls(model: Path) -> None:
    text = open_with(model, 2)
    generations = [endless(text, f"{i}") for i in range(2)]
    waiting = text.generate("late", **GREEDY)
    text.close()
    assert not any(one.is_running for one in (*generations, waiting))
    with pytest.raises(errors.InvalidArgumentError, match="closed"):
        text.tokenize("x")


def test_a_manager_of_one_sequence_still_takes_one_call_at_a_time(model: Path) -> None:
    with open_with(model) as text:
        generation = endless(text)
        failed: list[BaseException] = []

        def call() -> None:
            try:
                text.tokenize("x")
            except errors.InvalidArgumentError as error:
                failed.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        assert "busy" in str(failed[0])
        generation.close()


def test_too_many_sequences_are_refused(model: Path) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="`65`"):
        TextManager.open(model, sequences=65)


def test_64_threads_call_one_manager(text: TextManager) -> None:
    def answer(number: int) -> str:
        prompt = f"The secret of number {number % 16} is {1000 + 137 * (number % 16)}."
        return text.generate(prompt, max_tokens=8, **GREEDY).text()

    alone = [answer(number) for number in range(16)]
    text.reset()
    with ThreadPoolExecutor(64) as pool:
        together = list(pool.map(answer, range(128)))
    assert together == alone * 8


def test_a_call_cancelled_at_any_token_changes_no_answer_after_it(text: TextManager) -> None:
    def begun() -> Generation:
        return text.generate("on and on", max_tokens=24, **GREEDY)

    whole = begun().text()
    for stop in range(24):
        generation = begun()
        for _, _ in zip(range(stop), generation, strict=False):
            pass
        generation.cancel()
        generation.text()
        assert begun().text() == whole
