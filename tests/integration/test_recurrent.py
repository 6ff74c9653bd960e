"""Models that keep one state instead of every token: their answers never depend on earlier calls.

Their state cannot go back to an earlier token, so that a prompt which only shares its beginning
with the one before is computed anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sphere_edge import TextManager, errors
from tests import random_recurrent

GREEDY: dict[str, Any] = {"temperature": 0.0, "ignore_end_of_text": True}
SHARED = "the quick brown fox jumps over the lazy dog and "
PROMPTS = [f"{SHARED}number {number}: " for number in range(6)]


@pytest.fixture(scope="module", params=random_recurrent.ARCHITECTURES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / f"{request.param}.gguf"
    return random_recurrent.write(path, architecture=request.param)


@pytest.fixture(scope="module")
def opened(model: Path) -> Iterator[TextManager]:
    with TextManager.open(model, threads=1) as text:
        yield text


@pytest.fixture
def text(opened: TextManager) -> TextManager:
    opened.reset()
    return opened


def said(text: TextManager, prompt: Any, **options: Any) -> str:
    return text.generate(prompt, **{"max_tokens": 12, **GREEDY, **options}).text()


def test_a_prompt_that_shares_half_of_the_one_before_is_answered_as_a_new_one(
    text: TextManager,
) -> None:
    alone = []
    for prompt in PROMPTS:
        text.reset()
        alone.append(said(text, prompt))
    assert len(set(alone)) > 1
    assert [said(text, prompt) for prompt in PROMPTS * 2] == alone * 2


def test_what_goes_on_is_not_computed_again(text: TextManager) -> None:
    first = text.tokenize(SHARED)
    longer = [*first, *text.tokenize("and on")]
    fresh = text.next_logits(longer)
    text.reset()
    said(text, first, max_tokens=1)
    continued = text.generate(longer, max_tokens=1, **GREEDY)
    continued.text()
    assert continued.result.cached_tokens == len(first)
    text.reset()
    said(text, first, max_tokens=1)
    np.testing.assert_allclose(text.next_logits(longer), fresh, atol=1e-5)


def test_calls_that_are_stopped_leave_nothing_behind(text: TextManager) -> None:
    alone = said(text, PROMPTS[0])
    generation = text.generate(PROMPTS[0], max_tokens=0, **GREEDY)
    next(generation)
    generation.cancel()
    generation.text()
    assert said(text, PROMPTS[0]) == alone
    with pytest.raises(errors.TimeoutError):
        said(text, PROMPTS[0], max_tokens=0, timeout_s=0.001)
    assert said(text, PROMPTS[0]) == alone


def test_texts_are_the_same_alone_and_in_company(text: TextManager, model: Path) -> None:
    alone = []
    for prompt in PROMPTS:
        text.reset()
        alone.append(said(text, prompt))
    with TextManager.open(model, threads=1, sequences=4) as many:
        for _ in range(2):
            generations = [many.generate(prompt, max_tokens=12, **GREEDY) for prompt in PROMPTS]
            stopped = many.generate("stopped", max_tokens=0, **GREEDY)
            stopped.cancel()
            assert [generation.text() for generation in generations] == alone


def test_embeddings_do_not_depend_on_the_text_before(text: TextManager) -> None:
    both = text.embed(["one text", "and another one"]).vectors
    said(text, SHARED)
    alone = text.embed(["and another one"]).vectors
    assert np.isfinite(both).all()
    np.testing.assert_array_equal(both[1], alone[0])
    assert not np.array_equal(both[0], both[1])


def test_scores_are_those_of_the_logits(text: TextManager) -> None:
    tokens = text.tokenize(SHARED)
    scores = text.score(tokens)
    last = text.next_logits(tokens[:-1])
    expected = last[tokens[-1]] - np.logaddexp.reduce(last.astype(np.float64))
    assert scores[-1] == pytest.approx(expected, abs=1e-4)


def test_drafts_and_saved_conversations_are_refused_by_name(
    text: TextManager, model: Path, tmp_path: Path
) -> None:
    assert not text.info.speculates
    with pytest.raises(errors.UnsupportedError, match=f"`{model.stem}` cannot go back"):
        said(text, SHARED, draft="prompt_lookup")
    said(text, SHARED)
    with pytest.raises(errors.UnsupportedError, match="of this kind cannot be saved"):
        text.save(tmp_path / "conversation")
    assert list(tmp_path.iterdir()) == []


def test_chats_go_through_the_template(text: TextManager) -> None:
    messages = [{"role": "user", "content": "the"}]
    first = text.chat(messages, max_tokens=8, **GREEDY).text()
    assert first == text.chat(messages, max_tokens=8, **GREEDY).text()
