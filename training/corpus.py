"""What the tiny model reads: an endless seeded stream of conversations; and the test questions.

Nothing is copied from anywhere: tables and phrasings are this project's own, the rest is a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from training import facts
from training.arithmetic import KEPT_SUMS, LARGEST, NUMBER_SKILLS, SMALL, SUM, NumberSkill
from training.conversation import (
    BEYOND,
    BEYOND_HELD_OUT,
    SINGLE_FACTS,
    SYSTEM_MESSAGES,
    TALK,
    UNKNOWN,
    UNKNOWN_NAME,
    Intent,
)
from training.phrasings import FACT_SKILLS, Skill

PREFIXES = (
    "Please: ",
    "Quick question: ",
    "Hello! ",
    "Hi, ",
    "Hey, ",
    "So, ",
    "Now: ",
    "And ",
    "Well, ",
    "Okay, ",
)
INTRODUCTIONS = (
    "My name is {}.",
    "I am {}.",
    "Hello, I am {}.",
    "Hi, my name is {}.",
    "I'm {}.",
    "You can call me {}.",
)
ASKS_FOR_NAME = (
    "What is my name?",
    "What's my name?",
    "Who am I?",
    "Do you know my name?",
    "Tell me my name.",
    "How am I called?",
    "Do you remember my name?",
)
# Shares of the stream beside the skills' own weights.
TALK_WEIGHT, SINGLE_WEIGHT, BEYOND_WEIGHT, INTRODUCTION_WEIGHT = 4.0, 3.0, 6.0, 1.0
DOCUMENT_SHARE = 0.08
# How many turns a conversation has: mostly one, sometimes as many as a short chat.
TURNS = (1, 2, 3, 4, 6, 10)
TURN_WEIGHTS = (60, 18, 10, 6, 4, 2)


@dataclass(frozen=True)
class Turn:
    """What the user says and what the model should answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Conversation:
    """Turns under an optional system message; or, with `document`, plain text without any chat."""

    turns: tuple[Turn, ...] = ()
    system: str | None = None
    document: str | None = None


@dataclass(frozen=True)
class Question:
    """A test question: `skill` it belongs to and the answers that count as right."""

    skill: str
    question: str
    accepted: tuple[str, ...]


def odd_word(choice: random.Random) -> str:
    """A word that does not exist, such as `Tiblo` or `ramek`."""
    syllables = (
        choice.choice("bdfgklmnprstvz") + choice.choice("aeiou")
        for _ in range(choice.randint(2, 3))
    )
    word = "".join(syllables) + choice.choice(("", "", "n", "k", "s", "x"))
    return word.capitalize() if choice.random() < 0.5 else word


def _filled(phrasing: str, words: dict[str, str]) -> str:
    text = phrasing.format(**words)
    return text[0].upper() + text[1:]


def _beyond(phrasing: str, choice: random.Random) -> str:
    """A question that the model cannot answer, its marks filled at random."""
    words = {
        "country": choice.choice(list(facts.COUNTRIES)),
        "city": choice.choice([capital for capital, _ in facts.COUNTRIES.values()]),
        "animal": facts.with_article(choice.choice(list(facts.ANIMALS))),
        "thing": choice.choice(list(facts.COLOURS)),
        "number": str(choice.randint(10, 2030)),
        "name": choice.choice(facts.NAMES),
    }
    while "{odd}" in phrasing:
        phrasing = phrasing.replace("{odd}", odd_word(choice), 1)
    return _filled(phrasing, words)


def _word_salad(choice: random.Random) -> str:
    """Known words in no order: knowing the words is not a reason to answer."""
    words = (
        *facts.COUNTRIES,
        *facts.ANIMALS,
        *facts.PLURALS.values(),
        *facts.PAST_TENSES,
        *facts.NUMBER_WORDS,
    )
    return " ".join(choice.sample(words, choice.randint(2, 5)))


def roughened(text: str, choice: random.Random) -> str:
    """`text` as people type it: at times lower case, without its last mark, or with a word more."""
    if choice.random() < 0.10:
        first = text.split(" ", 1)[0]
        keep = first in ("I", "I'm") or first.strip(":,'s") in (
            *facts.COUNTRIES,
            *facts.DAYS,
            *facts.MONTHS,
            *facts.NAMES,
        )
        text = choice.choice(PREFIXES) + (text if keep else text[0].lower() + text[1:])
    if choice.random() < 0.05 and text[-1] in "?.":
        text = f"{text[:-1]}, please{text[-1]}"
    if choice.random() < 0.10:
        text = text.lower()
    if choice.random() < 0.10 and text[-1] in "?.!" and len(text) > 8:
        text = text[:-1]
    return text


class Stream:
    """Draws training conversations, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.choice = random.Random(seed)
        self._sources: list[Skill | NumberSkill | str] = [
            *FACT_SKILLS,
            *NUMBER_SKILLS,
            "talk",
            "single",
            "beyond",
            "introduction",
        ]
        self._weights = [
            *(skill.weight for skill in FACT_SKILLS),
            *(skill.weight for skill in NUMBER_SKILLS),
            TALK_WEIGHT,
            SINGLE_WEIGHT,
            BEYOND_WEIGHT,
            INTRODUCTION_WEIGHT,
        ]
        self._phrasings = {skill.name: skill.phrasings() for skill in FACT_SKILLS}

    def __iter__(self) -> Iterator[Conversation]:
        while True:
            yield self.conversation()

    def conversation(self) -> Conversation:
        """One conversation or, now and then, a plain document."""
        choice = self.choice
        if choice.random() < DOCUMENT_SHARE:
            sentences = [self._plain_answer() for _ in range(choice.randint(1, 4))]
            return Conversation(document=" ".join(sentences))
        turns = [self._turn() for _ in range(choice.choices(TURNS, TURN_WEIGHTS)[0])]
        if len(turns) > 1 and choice.random() < 0.25:
            self._introduce(turns)
        system = choice.choice(SYSTEM_MESSAGES) if choice.random() < 0.1 else None
        return Conversation(tuple(turns), system)

    def _introduce(self, turns: list[Turn]) -> None:
        """Lets the user say a name in one turn and ask for it in a later one."""
        name = self.choice.choice(facts.NAMES)
        first, second = sorted(self.choice.sample(range(len(turns)), 2))
        turns[first] = self._introduction(name)
        turns[second] = Turn(
            roughened(self.choice.choice(ASKS_FOR_NAME), self.choice), f"Your name is {name}."
        )

    def _introduction(self, name: str) -> Turn:
        said = self.choice.choice(INTRODUCTIONS).format(name)
        return Turn(said, f"Hello, {name}! How can I help?")

    def _turn(self) -> Turn:
        choice = self.choice
        source = choice.choices(self._sources, self._weights)[0]
        if isinstance(source, Skill):
            case = choice.choice(source.cases)
            # Half of the time one of its own phrasings, so that the many openers do not drown them.
            phrasing = choice.choice(
                source.direct if choice.random() < 0.5 else self._phrasings[source.name]
            )
            return Turn(roughened(_filled(phrasing, case.words), choice), case.answer)
        if isinstance(source, NumberSkill):
            a, b = source.draw(choice)
            phrasing = choice.choice(source.phrasings)
            return Turn(roughened(phrasing.format(a=a, b=b), choice), source.answer(a, b))
        if source == "introduction":
            if choice.random() < 0.3:
                return Turn(roughened(choice.choice(ASKS_FOR_NAME), choice), UNKNOWN_NAME)
            return self._introduction(choice.choice(facts.NAMES))
        if source == "beyond":
            text = (
                _word_salad(choice)
                if choice.random() < 0.08
                else _beyond(choice.choice(BEYOND), choice)
            )
            return Turn(roughened(text, choice), UNKNOWN)
        intent = choice.choice(TALK if source == "talk" else SINGLE_FACTS)
        return Turn(roughened(choice.choice(intent.said), choice), intent.answer)

    def _plain_answer(self) -> str:
        """The answer of some fact or sum on its own, as a sentence of a document."""
        choice = self.choice
        source = choice.choices(self._sources[:-4], self._weights[:-4])[0]
        if isinstance(source, Skill):
            return choice.choice(source.cases).answer
        assert isinstance(source, NumberSkill)
        return source.answer(*source.draw(choice))


def _fact_questions(skill: Skill, choice: random.Random) -> list[Question]:
    """`skill.tested` different held-out questions, the cases taken in turn."""
    cases = list(skill.cases)
    choice.shuffle(cases)
    found: dict[str, Question] = {}
    for number in range(skill.tested):
        case = cases[number % len(cases)]
        text = _filled(skill.held_out[number % len(skill.held_out)], case.words)
        found[text] = Question(skill.name, text, (case.answer,))
    return list(found.values())


def _number_questions(skill: NumberSkill, choice: random.Random) -> list[Question]:
    """Held-out phrasings. Sums are of held-out pairs, every second one in a trained phrasing."""
    kept = sorted(KEPT_SUMS)
    small = [pair for pair in kept if max(pair) <= SMALL]
    found: dict[str, Question] = {}
    for number in range(skill.tested):
        if skill is SUM:
            a, b = choice.choice(small if number % 4 < 2 else kept)
            if choice.random() < 0.5:
                a, b = b, a
        else:
            a, b = skill.draw(choice)
        phrasings = skill.phrasings if skill is SUM and number % 2 else skill.held_out
        text = choice.choice(phrasings).format(a=a, b=b)
        name = (
            f"{skill.name}_{'small' if max(a, b) <= SMALL else 'large'}"
            if skill is SUM
            else skill.name
        )
        found[text] = Question(name, text, (skill.answer(a, b),))
    return list(found.values())


def _intent_questions(name: str, intents: tuple[Intent, ...]) -> list[Question]:
    return [
        Question(name, said, (intent.answer,)) for intent in intents for said in intent.held_out
    ]


def held_out_questions(seed: int = 7) -> list[Question]:
    """The test set: phrasings that training never uses, and sums of pairs that it never adds."""
    choice = random.Random(seed)
    questions: list[Question] = []
    for skill in FACT_SKILLS:
        questions += _fact_questions(skill, choice)
    for number_skill in NUMBER_SKILLS:
        questions += _number_questions(number_skill, choice)
    questions += _intent_questions("talk", TALK)
    questions += _intent_questions("single_fact", SINGLE_FACTS)
    for number in range(24):
        phrasing = BEYOND_HELD_OUT[number % len(BEYOND_HELD_OUT)]
        questions.append(Question("beyond", _beyond(phrasing, choice), (UNKNOWN,)))
    return questions


__all__ = [
    "LARGEST",
    "Conversation",
    "Question",
    "Stream",
    "Turn",
    "held_out_questions",
    "odd_word",
    "roughened",
]
