"""The built-in model, packaged and asked through the native runtime, answers as its card says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from sphere_edge import packaging, resources
from sphere_edge.engines.options import PackageOptions
from sphere_edge.runtime.text import TextManager
from tests import made_bundles

# Shares of right answers to the held-out questions.
ENOUGH = 0.90
MOST_LOST = 0.03


def _packaged(quantization: str) -> Path:
    options = PackageOptions(quantization=quantization)
    return made_bundles.made(packaging.TINY, options=options).folder


def _share_right(bundle: Path) -> float:
    held_out = resources.tiny_model() / "held_out.json"
    questions = json.loads(held_out.read_text(encoding="utf-8"))
    assert len(questions) > 300
    outcome: Counter[bool] = Counter()
    with TextManager.open(bundle) as text:
        for asked in questions:
            messages = [{"role": "user", "content": asked["question"]}]
            answer = "".join(text.chat(messages, temperature=0, max_tokens=32))
            outcome[answer in asked["accepted"]] += 1
    return outcome[True] / len(questions)


@pytest.fixture(scope="module")
def float32_bundle() -> Path:
    return _packaged("f32")


@pytest.fixture(scope="module")
def four_bit_bundle() -> Path:
    return _packaged("q4")


def test_nine_of_ten_held_out_questions_are_answered_rightly_and_four_bit_costs_little(
    float32_bundle: Path, four_bit_bundle: Path
) -> None:
    full = _share_right(float32_bundle)
    assert full >= ENOUGH
    assert _share_right(four_bit_bundle) >= full - MOST_LOST


def test_a_question_beyond_it_gets_a_short_answer_that_ends(four_bit_bundle: Path) -> None:
    with TextManager.open(four_bit_bundle) as text:
        for question in (
            "Who is the king of Norway?",
            "Explain tarabis to me, friend.",
            "qwx zzt?",
        ):
            reply = text.chat([{"role": "user", "content": question}], temperature=0, max_tokens=64)
            assert len("".join(reply)) < 80
            assert reply.result.finish_reason == "stop"


def test_it_remembers_a_name_said_earlier_in_the_chat(four_bit_bundle: Path) -> None:
    messages = [{"role": "user", "content": "My name is Clara."}]
    with TextManager.open(four_bit_bundle) as text:
        answer = "".join(text.chat(messages, temperature=0, max_tokens=32))
        messages += [
            {"role": "assistant", "content": answer},
            {"role": "user", "content": "What is my name?"},
        ]
        assert "Clara" in "".join(text.chat(messages, temperature=0, max_tokens=32))
