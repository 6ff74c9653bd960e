"""Figures of two models' predictions: against numpy written out, and on models of few numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sphere_edge.bundle.manifest import Quality
from sphere_edge.errors import FormatMismatchError, InvalidArgumentError, ModelCorruptError
from sphere_edge.evaluation import figures, report, windows
from sphere_edge.evaluation.comparison import compare, same_tokens
from sphere_edge.evaluation.predictor import Subject

VOCAB = 11


class Bigrams:
    """A language model that is one table: the logits after each token, float32 [vocab, vocab]."""

    def __init__(self, table: npt.NDArray[np.float32]) -> None:
        self.table = table
        self.longest = 0

    def tokenize(
        self, text: str, *, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        return [ord(character) % VOCAB for character in text]

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        return "".join(f"{message['role']}:{message['content']};" for message in messages)

    def logits(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        self.longest = max(self.longest, len(token_ids))
        return self.table[list(token_ids)]


def subject(seed: int, noise: float = 0.0, vocab: int = VOCAB) -> Subject:
    table = np.random.default_rng(seed).normal(size=(VOCAB, VOCAB)).astype(np.float32)
    table += noise * np.random.default_rng(99).normal(size=table.shape).astype(np.float32)
    return Subject(f"model-{seed}", Bigrams(table), vocab, context_tokens=64)


TEXT = "the quick brown fox jumps over the lazy dog " * 30


def test_figures_are_those_of_the_definitions() -> None:
    p = np.array([[2.0, 0.0, -1.0]], np.float32)
    q = np.array([[0.0, 1.0, 0.0]], np.float32)
    found = figures.positions(p, q, np.array([2]))
    a, b = (np.exp(x[0].astype(float)) / np.exp(x[0].astype(float)).sum() for x in (p, q))
    assert found.divergence[0] == pytest.approx(float((a * np.log(a / b)).sum()))
    assert found.reference_surprise[0] == pytest.approx(-math.log(a[2]))
    assert found.candidate_surprise[0] == pytest.approx(-math.log(b[2]))
    assert not found.agreement[0]


def test_huge_logits_do_not_overflow() -> None:
    p = np.array([[3e38, -3e38]], np.float32)
    found = figures.positions(p, p, np.array([0]))
    assert found.divergence[0] == 0
    assert found.reference_surprise[0] == 0


def test_a_model_against_itself_loses_nothing() -> None:
    one = subject(1)
    result = compare(one, one, windows.of_text(one.model.tokenize(TEXT), None, 64))
    assert result.divergence.value == 0
    assert result.agreement.value == 1
    assert result.perplexity_ratio.value == 1
    assert result.reference_perplexity.value == result.candidate_perplexity.value


def test_more_noise_is_more_divergence() -> None:
    reference = subject(1)
    read = windows.of_text(reference.model.tokenize(TEXT), None, 64)
    small, large = (compare(reference, subject(1, noise), read) for noise in (0.05, 0.5))
    assert 0 < small.divergence.value < large.divergence.value
    assert small.divergence.low < small.divergence.value < small.divergence.high
    assert small.divergence_p99 >= small.divergence.value
    assert large.agreement.value < 1


@pytest.mark.parametrize("window", [2, 3, 16, 63, 64])
def test_each_token_counts_once_whatever_the_window(window: int) -> None:
    ids = Bigrams(np.zeros((VOCAB, VOCAB), np.float32)).tokenize(TEXT)
    read = windows.of_text(ids, window, 64)
    assert [i for one in read for i in one.ids[one.first_counted :]] == ids[1:]
    assert max(len(one.ids) for one in read) <= window
    # After the first window every counted token has half a window before it.
    assert all(one.first_counted >= window // 2 for one in read[1:])


def test_windows_change_nothing_for_a_model_without_memory() -> None:
    one, other = subject(1), subject(1, 0.3)
    ids = one.model.tokenize(TEXT)
    small, large = (compare(one, other, windows.of_text(ids, window, 64)) for window in (4, 64))
    np.testing.assert_array_equal(small.each.divergence, large.each.divergence)


def test_only_answers_of_chats_count() -> None:
    one = subject(1)
    line = {"messages": [{"role": "user", "content": "hi"}, {"role": "bot", "content": "yes!"}]}
    chats = windows.parse_chats(f"{json.dumps(line)}\n\n{json.dumps(line)}\n")
    read = windows.of_chats(one, chats, 64)
    assert [one.ids[one.first_counted :] for one in read] == [
        tuple(Bigrams(np.zeros((1, 1), np.float32)).tokenize("yes!"))
    ] * 2
    assert len(compare(one, one, read).each.divergence) == 8


@pytest.mark.parametrize(
    "line", ["", "[]", "{", '{"messages": []}', '{"messages": [{"role": "user"}]}', "[" * 90_000]
)
def test_a_file_without_chats_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(InvalidArgumentError) as refusal:
        windows.parse_chats(line)
    assert refusal.value.hint


def test_a_chat_longer_than_the_context_is_refused() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "bot", "content": "y" * 99}]
    chats = windows.parse_chats(json.dumps({"messages": turns}))
    with pytest.raises(InvalidArgumentError, match="`99` tokens"):
        windows.of_chats(subject(1), chats, 64)


def test_other_tokenizers_are_refused() -> None:
    with pytest.raises(FormatMismatchError, match="do not share one tokenizer"):
        same_tokens(subject(1), subject(1, vocab=VOCAB + 1), TEXT)


@pytest.mark.parametrize("window", [0, 1, 65])
def test_a_window_out_of_range_is_refused(window: int) -> None:
    with pytest.raises(InvalidArgumentError, match=f"invalid value `{window}`"):
        windows.of_text(list(range(100)), window, 64)


def test_too_short_a_text_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="only `3` tokens"):
        windows.of_text([1, 2, 3], None, 64)


def test_logits_that_are_not_finite_are_the_models_fault() -> None:
    broken = subject(1)
    broken.model.logits([0])
    assert isinstance(broken.model, Bigrams)
    broken.model.table[3, 3] = np.nan
    read = windows.of_text(broken.model.tokenize(TEXT), None, 64)
    with pytest.raises(ModelCorruptError, match="not finite"):
        compare(subject(2), broken, read)


def test_an_interval_of_constants_is_a_point_and_of_few_numbers_everything() -> None:
    point = figures.interval(np.full(200, 0.25))
    assert (point.low, point.value, point.high) == (0.25, 0.25, 0.25)
    unknown = figures.interval(np.arange(40.0))
    assert (unknown.low, unknown.high) == (-math.inf, math.inf)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    draws = np.random.default_rng(7)
    hits = 0
    for _ in range(100):
        one = figures.interval(draws.normal(loc=3, size=640))
        hits += one.low <= 3 <= one.high
    assert 85 <= hits <= 100


def test_the_json_has_every_position_and_no_infinity() -> None:
    one = subject(1)
    short = compare(one, subject(1, 0.1), windows.of_text(list(range(11)) * 3, None, 64))
    document = json.loads(json.dumps(short.as_json(), allow_nan=False))
    assert len(document["kl_divergence_by_position"]) == document["positions"] == 32
    assert document["kl_divergence"]["low"] is None
    assert isinstance(short.summary("a text"), Quality)


def test_a_plot_is_a_picture_and_other_names_are_refused(tmp_path: Path) -> None:
    one = subject(1)
    compared = compare(one, subject(1, 0.1), windows.of_text(list(range(11)) * 30, None, 64))
    report.plot(compared, tmp_path / "kl.svg")
    assert "<svg" in (tmp_path / "kl.svg").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["kl.svg"]
    with pytest.raises(InvalidArgumentError, match=r"`kl\.doc`"):
        report.plot(compared, tmp_path / "kl.doc")
