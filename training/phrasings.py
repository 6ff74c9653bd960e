"""How each kind of fact is asked for and answered: phrasings for training, others for the test.

Long because it is a table: one entry per kind of fact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from training import facts
from training.facts import with_article

# Around a noun phrase such as "the capital of France".
NOUN_OPENERS = (
    "What is {}?",
    "What's {}?",
    "Tell me {}.",
    "Please tell me {}.",
    "Can you tell me {}?",
    "Could you name {}?",
    "Do you know {}?",
    "I want to know {}.",
    "Name {}.",
    "Give me {}.",
    "I am looking for {}.",
    "I forgot {}.",
    "Say {}, please.",
)
# Around an indirect question such as "how many legs a spider has".
CLAUSE_OPENERS = (
    "Tell me {}.",
    "Please tell me {}.",
    "Can you tell me {}?",
    "Could you say {}?",
    "Do you know {}?",
    "I want to know {}.",
    "I wonder {}.",
    "I forgot {}.",
    "Please say {}.",
)


@dataclass(frozen=True)
class Case:
    """One fact: the words that fill a phrasing's marks, and the one right answer."""

    words: dict[str, str]
    answer: str


@dataclass(frozen=True)
class Skill:
    """One kind of question; `weight` is its share in training, `tested` its test questions.

    `direct`, and `nouns` and `clauses` inside the openers above, are trained on, `held_out` never.
    """

    name: str
    cases: tuple[Case, ...]
    weight: float
    tested: int
    direct: tuple[str, ...]
    held_out: tuple[str, ...]
    nouns: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()

    def phrasings(self) -> tuple[str, ...]:
        """Every phrasing that training may use, with its marks."""
        inside = [opener.format(noun) for noun in self.nouns for opener in NOUN_OPENERS]
        inside += [opener.format(clause) for clause in self.clauses for opener in CLAUSE_OPENERS]
        return (*self.direct, *inside)


def _cases(rows: Iterable[tuple[dict[str, str], str]]) -> tuple[Case, ...]:
    return tuple(Case(words, answer) for words, answer in rows)


def _first_upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _number(count: int) -> str:
    return facts.NUMBER_WORDS[count] if count else "no"


def _verb(thing: str) -> str:
    return f"{_first_upper(thing)} is"


CAPITAL = Skill(
    "capital",
    _cases(
        ({"country": country}, f"The capital of {country} is {capital}.")
        for country, (capital, _) in facts.COUNTRIES.items()
    ),
    weight=3,
    tested=36,
    nouns=("the capital of {country}", "the capital city of {country}", "{country}'s capital"),
    clauses=("what the capital of {country} is", "which city is the capital of {country}"),
    direct=(
        "Which city is the capital of {country}?",
        "What city is {country}'s capital?",
        "{country} has which capital?",
        "What is the capital city in {country}?",
        "The capital of {country}?",
        "{country}: what is its capital?",
        "What capital does {country} have?",
        "Where is the government of {country}? I mean the capital.",
    ),
    held_out=(
        "Would you tell me the capital of {country}?",
        "I would like to know {country}'s capital city.",
        "Which capital does {country} have?",
        "Let me know what the capital of {country} is.",
        "What is the name of the capital of {country}?",
        "{country}'s capital is which city?",
    ),
)

COUNTRY_OF = Skill(
    "country_of",
    _cases(
        ({"city": capital}, f"{capital} is the capital of {country}.")
        for country, (capital, _) in facts.COUNTRIES.items()
    ),
    weight=2,
    tested=20,
    nouns=("the country whose capital is {city}",),
    clauses=("which country has the capital {city}", "what country {city} is the capital of"),
    direct=(
        "{city} is the capital of which country?",
        "Which country has {city} as its capital?",
        "What country is {city} the capital of?",
        "Of which country is {city} the capital?",
        "In which country is {city} the capital city?",
        "The capital {city} belongs to which country?",
        "Whose capital is {city}?",
        "Which country's capital is {city}?",
    ),
    held_out=(
        "What country has {city} as its capital city?",
        "Which country is {city} the capital of?",
        "{city} is the capital city of what country?",
        "Would you tell me which country has {city} as its capital?",
    ),
)

CONTINENT = Skill(
    "continent",
    _cases(
        ({"country": country}, f"{country} is in {continent}.")
        for country, (_, continent) in facts.COUNTRIES.items()
    ),
    weight=2,
    tested=20,
    nouns=("the continent of {country}", "{country}'s continent"),
    clauses=("which continent {country} is in", "on what continent {country} lies"),
    direct=(
        "Which continent is {country} in?",
        "On which continent is {country}?",
        "In what part of the world is {country}?",
        "Where is {country}?",
        "Where on Earth is {country}?",
        "{country} is on which continent?",
        "What continent does {country} belong to?",
        "On what continent does {country} lie?",
    ),
    held_out=(
        "What continent is {country} on?",
        "Would you tell me which continent {country} is on?",
        "{country} belongs to which continent?",
        "Where in the world is {country}?",
    ),
)

COLOUR = Skill(
    "colour",
    _cases(
        ({"thing": thing, "colour": spelling}, f"{_verb(thing)} {colour}.")
        for thing, colour in facts.COLOURS.items()
        for spelling in ("colour", "color")
    ),
    weight=2,
    tested=28,
    nouns=("the {colour} of {thing}", "the usual {colour} of {thing}"),
    clauses=("what {colour} {thing} is", "which {colour} {thing} has"),
    direct=(
        "What {colour} is {thing}?",
        "Which {colour} is {thing}?",
        "Which {colour} does {thing} have?",
        "What {colour} does {thing} usually have?",
        "{thing}: which {colour}?",
        "If I see {thing}, what {colour} is it?",
        "Of what {colour} is {thing}?",
        "I paint {thing}. Which {colour} do I need?",
    ),
    held_out=(
        "What {colour} does {thing} have?",
        "Would you tell me what {colour} {thing} is?",
        "What is the normal {colour} of {thing}?",
        "I see {thing}. What {colour} is it?",
        "{thing} has which {colour}?",
    ),
)

OPPOSITE = Skill(
    "opposite",
    _cases(
        ({"word": word}, f"The opposite of {word} is {other}.")
        for pair in facts.OPPOSITES
        for word, other in (pair, pair[::-1])
    ),
    weight=3,
    tested=36,
    nouns=("the opposite of {word}", "the word opposite to {word}", "the opposite word of {word}"),
    clauses=("what the opposite of {word} is", "which word is the opposite of {word}"),
    direct=(
        "Which word is the opposite of {word}?",
        "{word} is the opposite of what?",
        "The opposite of {word}?",
        "Opposite of {word}?",
        "What word means the opposite of {word}?",
        "What is not {word} but the opposite?",
        "{word}: what is the opposite?",
        "If it is not {word}, it is the opposite. Which word is that?",
    ),
    held_out=(
        "What word is the opposite of {word}?",
        "I would like to know the opposite of {word}.",
        "Which word means the opposite of {word}?",
        "Would you give me the opposite of {word}?",
        "{word} has which opposite?",
    ),
)

SOUND = Skill(
    "sound",
    _cases(
        (
            {"animal": animal, "an_animal": with_article(animal)},
            f"A{'n' if animal[0] in 'aeio' else ''} {animal} says {sound}.",
        )
        for animal, (sound, _, _) in facts.ANIMALS.items()
        if sound
    ),
    weight=1.5,
    tested=18,
    nouns=("the sound of {an_animal}", "the sound {an_animal} makes"),
    clauses=("what {an_animal} says", "what sound {an_animal} makes"),
    direct=(
        "What does {an_animal} say?",
        "What sound does {an_animal} make?",
        "Which sound does {an_animal} make?",
        "What noise does {an_animal} make?",
        "How does {an_animal} sound?",
        "How does {an_animal} go?",
        "Make the sound of {an_animal}.",
        "I hear {an_animal}. What does it say?",
    ),
    held_out=(
        "Which noise does {an_animal} make?",
        "What does the {animal} say?",
        "Would you tell me what sound {an_animal} makes?",
        "What is the noise {an_animal} makes?",
    ),
)

YOUNG = Skill(
    "young",
    _cases(
        (
            {"animal": animal, "an_animal": with_article(animal)},
            f"A baby {animal} is called {with_article(young)}.",
        )
        for animal, (_, young, _) in facts.ANIMALS.items()
        if young
    ),
    weight=1.5,
    tested=18,
    nouns=(
        "the name for a baby {animal}",
        "the word for a young {animal}",
        "the young of {an_animal}",
    ),
    clauses=("what a baby {animal} is called", "how a young {animal} is called"),
    direct=(
        "What is a baby {animal} called?",
        "What do you call a baby {animal}?",
        "What do we call a young {animal}?",
        "What is a young {animal}?",
        "How is a baby {animal} called?",
        "Which word means a baby {animal}?",
        "What is the child of {an_animal} called?",
        "The baby of {an_animal} is called what?",
    ),
    held_out=(
        "What is the baby of {an_animal} called?",
        "What is a young {animal} called?",
        "Would you tell me what a baby {animal} is called?",
        "What is the word for a baby {animal}?",
    ),
)

LEGS = Skill(
    "legs",
    _cases(
        (
            {"animal": animal, "an_animal": with_article(animal)},
            f"{_first_upper(with_article(animal))} has {_number(legs)} legs.",
        )
        for animal, (_, _, legs) in facts.ANIMALS.items()
    ),
    weight=1.5,
    tested=20,
    nouns=("the number of legs of {an_animal}", "the number of legs that {an_animal} has"),
    clauses=("how many legs {an_animal} has", "on how many legs {an_animal} walks"),
    direct=(
        "How many legs does {an_animal} have?",
        "How many legs has {an_animal}?",
        "What number of legs does {an_animal} have?",
        "{an_animal} has how many legs?",
        "On how many legs does {an_animal} walk?",
        "Count the legs of {an_animal}.",
        "I see {an_animal}. How many legs does it have?",
        "How many legs are there on {an_animal}?",
    ),
    held_out=(
        "Would you tell me how many legs {an_animal} has?",
        "How many legs do you count on {an_animal}?",
        "The legs of {an_animal}: how many are there?",
        "How many legs does the {animal} have?",
    ),
)


def _neighbours(names: tuple[str, ...]) -> tuple[Case, ...]:
    ring = list(zip(names, (*names[1:], names[0]), strict=True))
    after = [({"name": a, "side": "after"}, f"{b} comes after {a}.") for a, b in ring]
    before = [({"name": b, "side": "before"}, f"{a} comes before {b}.") for a, b in ring]
    return _cases(after + before)


def _order(kind: str, names: tuple[str, ...], weight: float, tested: int) -> Skill:
    """Days and months: what comes before and after."""
    return Skill(
        f"{kind}_order",
        _neighbours(names),
        weight,
        tested,
        nouns=(f"the {kind} {{side}} {{name}}", f"the {kind} that comes {{side}} {{name}}"),
        clauses=(f"which {kind} comes {{side}} {{name}}", f"what {kind} is {{side}} {{name}}"),
        direct=(
            f"What {kind} comes {{side}} {{name}}?",
            f"Which {kind} comes {{side}} {{name}}?",
            f"Which {kind} is {{side}} {{name}}?",
            f"What {kind} is right {{side}} {{name}}?",
            "What comes {side} {name}?",
            f"{{side}} {{name}} comes which {kind}?",
            f"Which {kind} do we have {{side}} {{name}}?",
            f"I know {{name}}. Which {kind} comes {{side}} it?",
        ),
        held_out=(
            f"What {kind} do we have {{side}} {{name}}?",
            f"Would you tell me the {kind} {{side}} {{name}}?",
            "What is right {side} {name}?",
            f"Which {kind} comes right {{side}} {{name}}?",
        ),
    )


DAY_ORDER = _order("day", facts.DAYS, 1.5, 14)
MONTH_ORDER = _order("month", facts.MONTHS, 2, 20)

MONTH_NUMBER = Skill(
    "month_number",
    _cases(
        ({"ordinal": ordinal}, f"The {ordinal} month is {month}.")
        for ordinal, month in zip(facts.ORDINALS, facts.MONTHS, strict=True)
    ),
    weight=1,
    tested=12,
    nouns=(
        "the {ordinal} month",
        "the {ordinal} month of the year",
        "the name of the {ordinal} month",
    ),
    clauses=("which month is the {ordinal} one", "what the {ordinal} month is"),
    direct=(
        "Which month is the {ordinal} month?",
        "Which is the {ordinal} month of the year?",
        "The {ordinal} month is which one?",
        "What is the {ordinal} month called?",
        "What month is {ordinal} in the year?",
        "Which month comes {ordinal}?",
    ),
    held_out=(
        "What month comes {ordinal}?",
        "Would you tell me the {ordinal} month?",
        "How is the {ordinal} month called?",
        "In a year, which month is the {ordinal} one?",
    ),
)

UNIT = Skill(
    "unit",
    _cases(
        ({"units": units, "whole": whole}, f"There are {count} {units} in {whole}.")
        for units, whole, count in facts.UNITS
    ),
    weight=2,
    tested=20,
    nouns=("the number of {units} in {whole}",),
    clauses=("how many {units} {whole} has", "how many {units} are in {whole}"),
    direct=(
        "How many {units} are in {whole}?",
        "How many {units} are there in {whole}?",
        "How many {units} does {whole} have?",
        "How many {units} make {whole}?",
        "{whole} has how many {units}?",
        "How many {units} in {whole}?",
        "What number of {units} is in {whole}?",
        "I have {whole}. How many {units} is that?",
    ),
    held_out=(
        "How many {units} has {whole}?",
        "Would you tell me how many {units} are in {whole}?",
        "{whole} is how many {units}?",
        "How many {units} make up {whole}?",
    ),
)

SHAPE = Skill(
    "shape",
    _cases(
        (
            {"shape": shape, "a_shape": with_article(shape)},
            f"{_first_upper(with_article(shape))} has {sides} sides.",
        )
        for shape, sides in facts.SHAPES.items()
    ),
    weight=0.7,
    tested=6,
    nouns=("the number of sides of {a_shape}",),
    clauses=("how many sides {a_shape} has",),
    direct=(
        "How many sides does {a_shape} have?",
        "How many sides has {a_shape}?",
        "{a_shape} has how many sides?",
        "What number of sides does {a_shape} have?",
        "Count the sides of {a_shape}.",
        "How many sides are there on {a_shape}?",
    ),
    held_out=(
        "Would you tell me how many sides {a_shape} has?",
        "I draw {a_shape}. How many sides does it have?",
        "How many sides do you count on {a_shape}?",
    ),
)

PLURAL = Skill(
    "plural",
    _cases(
        ({"word": word}, f"The plural of {word} is {plural}.")
        for word, plural in facts.PLURALS.items()
    ),
    weight=1.5,
    tested=16,
    nouns=("the plural of {word}", "the plural form of {word}", "the plural of the word {word}"),
    clauses=("what the plural of {word} is", "how the plural of {word} is written"),
    direct=(
        "The plural of {word}?",
        "{word}: what is the plural?",
        "Which word is the plural of {word}?",
        "How do you write the plural of {word}?",
        "Make the plural of {word}.",
        "One {word}. What is the plural?",
    ),
    held_out=(
        "What word is the plural of {word}?",
        "Would you give me the plural of {word}?",
        "How do I say the plural of {word}?",
        "Write the plural of {word}.",
    ),
)

PAST = Skill(
    "past",
    _cases(
        ({"verb": verb}, f"The past tense of {verb} is {past}.")
        for verb, past in facts.PAST_TENSES.items()
    ),
    weight=1.5,
    tested=16,
    nouns=("the past tense of {verb}", "the past of {verb}", "the past form of the verb {verb}"),
    clauses=("what the past tense of {verb} is", "how the past tense of {verb} is written"),
    direct=(
        "The past tense of {verb}?",
        "{verb}: what is the past tense?",
        "Which word is the past tense of {verb}?",
        "How do you write the past tense of {verb}?",
        "Make the past tense of {verb}.",
        "Put the verb {verb} into the past tense.",
    ),
    held_out=(
        "What word is the past tense of {verb}?",
        "Would you give me the past tense of {verb}?",
        "How do I say the past tense of {verb}?",
        "Write the past tense of {verb}.",
    ),
)


def _kind_rows() -> Iterable[tuple[dict[str, str], str]]:
    """Each member asked for its own kind and for another one: "no" is as common as "yes"."""
    kinds = list(facts.KINDS)
    for index, kind in enumerate(kinds):
        for number, member in enumerate(facts.KINDS[kind]):
            other = kinds[(index + 1 + number % (len(kinds) - 1)) % len(kinds)]
            yield {"member": member, "kind": kind}, f"Yes, {member} is {kind}."
            yield {"member": member, "kind": other}, f"No, {member} is {kind}."


KIND = Skill(
    "kind",
    _cases(_kind_rows()),
    weight=2,
    tested=24,
    clauses=("if {member} is {kind}", "whether {member} is {kind}"),
    direct=(
        "Is {member} {kind}?",
        "Yes or no: is {member} {kind}?",
        "Is it true that {member} is {kind}?",
        "{member} is {kind}, yes or no?",
        "Would you say that {member} is {kind}?",
        "I think {member} is {kind}. Is that right?",
        "Is {member} {kind} or not?",
    ),
    held_out=(
        "Is it right that {member} is {kind}?",
        "Do you think that {member} is {kind}?",
        "{member} is {kind}. Is that true?",
        "Yes or no, is {member} {kind}?",
    ),
)

FACT_SKILLS: tuple[Skill, ...] = (
    CAPITAL,
    COUNTRY_OF,
    CONTINENT,
    COLOUR,
    OPPOSITE,
    SOUND,
    YOUNG,
    LEGS,
    DAY_ORDER,
    MONTH_ORDER,
    MONTH_NUMBER,
    UNIT,
    SHAPE,
    PLURAL,
    PAST,
    KIND,
)
