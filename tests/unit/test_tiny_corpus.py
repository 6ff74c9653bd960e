"""The tiny model's text: nothing of the test is trained on; the same seed gives the same text."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

from training.arithmetic import KEPT_SUMS, NUMBER_SKILLS, SUM
from training.conversation import BEYOND, BEYOND_HELD_OUT, SINGLE_FACTS, TALK
from training.corpus import Stream, held_out_questions
from training.phrasings import FACT_SKILLS

HELD_OUT = Path(__file__).parents[2] / "sphere_edge" / "data" / "tiny" / "held_out.json"


def _plain(text: str) -> str:
    return text.lower().strip(" ?.!")


def test_no_held_out_phrasing_is_trained_on() -> None:
    for skill in FACT_SKILLS:
        trained = {_plain(phrasing) for phrasing in skill.phrasings()}
        assert not trained & {_plain(phrasing) for phrasing in skill.held_out}, skill.name
    for number_skill in NUMBER_SKILLS:
        trained = {_plain(phrasing) for phrasing in number_skill.phrasings}
        assert not trained & {_plain(phrasing) for phrasing in number_skill.held_out}, (
            number_skill.name
        )
    for intent in (*TALK, *SINGLE_FACTS):
        assert not {_plain(text) for text in intent.said} & {
            _plain(text) for text in intent.held_out
        }
    assert not {_plain(text) for text in BEYOND} & {_plain(text) for text in BEYOND_HELD_OUT}


def test_no_test_question_occurs_in_the_training_stream() -> None:
    tested = {_plain(question.question) for question in held_out_questions()}
    stream = itertools.islice(Stream(seed=11), 6_000)
    trained = {_plain(turn.question) for conversation in stream for turn in conversation.turns}
    assert len(trained) > 3_000
    assert not tested & trained


def test_tested_sums_are_never_added_in_training() -> None:
    choice = random.Random(5)
    drawn = {tuple(sorted(SUM.draw(choice))) for _ in range(20_000)}
    assert len(drawn) > 900
    assert not drawn & KEPT_SUMS


def test_every_intent_means_one_answer() -> None:
    answers: dict[str, str] = {}
    for intent in (*TALK, *SINGLE_FACTS):
        for text in (*intent.said, *intent.held_out):
            assert answers.setdefault(_plain(text), intent.answer) == intent.answer, text


def test_the_same_seed_gives_the_same_text() -> None:
    first, second, other = (list(itertools.islice(Stream(seed), 200)) for seed in (3, 3, 4))
    assert first == second
    assert first != other


def test_the_shipped_questions_are_those_that_the_code_makes() -> None:
    shipped = json.loads(HELD_OUT.read_text(encoding="utf-8"))
    made = [
        {
            "skill": question.skill,
            "question": question.question,
            "accepted": list(question.accepted),
        }
        for question in held_out_questions()
    ]
    assert shipped == made
