"""Number questions: sums, differences, products, counting, comparing; and which sums are tested."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

# Sums go up to LARGEST + LARGEST; half of those trained on stay within SMALL + SMALL.
LARGEST = 50
SMALL = 20


def _kept_sums() -> frozenset[tuple[int, int]]:
    """Pairs (a, b) with a <= b, a tenth of all, that training never adds in either order."""
    pairs = [(a, b) for b in range(LARGEST + 1) for a in range(b + 1)]
    return frozenset(random.Random(2026).sample(pairs, len(pairs) // 10))


KEPT_SUMS = _kept_sums()


@dataclass(frozen=True)
class NumberSkill:
    """One kind of number question; `draw` picks (a, b) and `answer` says what is right for them."""

    name: str
    weight: float
    tested: int
    draw: Callable[[random.Random], tuple[int, int]]
    answer: Callable[[int, int], str]
    phrasings: tuple[str, ...]
    held_out: tuple[str, ...]


def _sum_pair(choice: random.Random) -> tuple[int, int]:
    while True:
        largest = SMALL if choice.random() < 0.5 else LARGEST
        a, b = choice.randint(0, largest), choice.randint(0, largest)
        if (min(a, b), max(a, b)) not in KEPT_SUMS:
            return a, b


def _difference_pair(choice: random.Random) -> tuple[int, int]:
    largest = choice.randint(0, SMALL if choice.random() < 0.7 else LARGEST)
    return largest, choice.randint(0, largest)


def _factors(choice: random.Random) -> tuple[int, int]:
    return choice.randint(0, 10), choice.randint(0, 10)


def _one_number(choice: random.Random) -> tuple[int, int]:
    return choice.randint(1, 99), 0


def _two_different(choice: random.Random) -> tuple[int, int]:
    a, b = choice.sample(range(100), 2)
    return a, b


SUM = NumberSkill(
    "sum",
    10,
    60,
    _sum_pair,
    lambda a, b: f"{a} + {b} = {a + b}.",
    (
        "What is {a} + {b}?",
        "What's {a} + {b}?",
        "What is {a} plus {b}?",
        "How much is {a} + {b}?",
        "How much is {a} plus {b}?",
        "{a} + {b}",
        "{a} + {b} =",
        "{a} + {b} = ?",
        "{a}+{b}",
        "{a}+{b}=?",
        "{a} plus {b}?",
        "Add {a} and {b}.",
        "Please add {a} and {b}.",
        "Can you add {a} and {b}?",
        "{a} and {b} make what?",
        "Calculate {a} + {b}.",
        "The sum of {a} and {b}?",
        "What is the sum of {a} and {b}?",
        "Tell me the sum of {a} and {b}.",
        "Tell me {a} + {b}.",
        "Do you know {a} plus {b}?",
        "What do {a} and {b} make?",
        "What do we get when we add {a} and {b}?",
        "I have {a} apples and get {b} more. How many apples do I have?",
        "There are {a} cats and {b} dogs. How many animals are there?",
    ),
    (
        "Would you add {a} and {b}?",
        "Calculate {a} plus {b}.",
        "What is the result of {a} + {b}?",
        "Give me the sum of {a} and {b}.",
        "Can you tell me {a} + {b}?",
        "How much do {a} and {b} make?",
    ),
)

DIFFERENCE = NumberSkill(
    "difference",
    4,
    20,
    _difference_pair,
    lambda a, b: f"{a} - {b} = {a - b}.",
    (
        "What is {a} - {b}?",
        "What's {a} - {b}?",
        "What is {a} minus {b}?",
        "How much is {a} - {b}?",
        "How much is {a} minus {b}?",
        "{a} - {b}",
        "{a} - {b} =",
        "{a} - {b} = ?",
        "{a}-{b}",
        "{a} minus {b}?",
        "Take {b} from {a}.",
        "Take {b} away from {a}.",
        "Calculate {a} - {b}.",
        "Subtract {b} from {a}.",
        "Tell me {a} - {b}.",
        "Do you know {a} minus {b}?",
        "What do we get when we take {b} from {a}?",
        "I have {a} apples and give away {b}. How many apples do I have?",
    ),
    (
        "Would you take {b} from {a}?",
        "Calculate {a} minus {b}.",
        "What is the result of {a} - {b}?",
        "Can you tell me {a} - {b}?",
    ),
)

PRODUCT = NumberSkill(
    "product",
    2.5,
    16,
    _factors,
    lambda a, b: f"{a} x {b} = {a * b}.",
    (
        "What is {a} x {b}?",
        "What's {a} x {b}?",
        "What is {a} times {b}?",
        "How much is {a} x {b}?",
        "How much is {a} times {b}?",
        "{a} x {b}",
        "{a} x {b} =",
        "{a} * {b}",
        "What is {a} * {b}?",
        "{a} times {b}?",
        "Multiply {a} and {b}.",
        "Multiply {a} by {b}.",
        "Calculate {a} x {b}.",
        "Tell me {a} times {b}.",
        "Do you know {a} times {b}?",
    ),
    (
        "Would you multiply {a} by {b}?",
        "Calculate {a} times {b}.",
        "What is the result of {a} x {b}?",
        "Can you tell me {a} times {b}?",
    ),
)

NEXT = NumberSkill(
    "next_number",
    1.5,
    10,
    _one_number,
    lambda a, b: f"{a + 1} comes after {a}.",
    (
        "What number comes after {a}?",
        "Which number comes after {a}?",
        "What comes after {a}?",
        "Which number is after {a}?",
        "Tell me the number after {a}.",
        "The number after {a}?",
        "What is the next number after {a}?",
        "Do you know which number comes after {a}?",
        "Count on from {a}.",
    ),
    (
        "Would you tell me the number after {a}?",
        "What number is after {a}?",
        "I know {a}. Which number comes after it?",
    ),
)

PREVIOUS = NumberSkill(
    "previous_number",
    1.5,
    10,
    _one_number,
    lambda a, b: f"{a - 1} comes before {a}.",
    (
        "What number comes before {a}?",
        "Which number comes before {a}?",
        "What comes before {a}?",
        "Which number is before {a}?",
        "Tell me the number before {a}.",
        "The number before {a}?",
        "What is the number before {a}?",
        "Do you know which number comes before {a}?",
        "Count back from {a}.",
    ),
    (
        "Would you tell me the number before {a}?",
        "What number is before {a}?",
        "I know {a}. Which number comes before it?",
    ),
)

LARGER = NumberSkill(
    "larger",
    1.5,
    14,
    _two_different,
    lambda a, b: f"{max(a, b)} is larger than {min(a, b)}.",
    (
        "Which is larger, {a} or {b}?",
        "What is larger, {a} or {b}?",
        "Which number is larger, {a} or {b}?",
        "Which is bigger, {a} or {b}?",
        "What is bigger: {a} or {b}?",
        "Is {a} or {b} larger?",
        "Tell me which is larger, {a} or {b}.",
        "{a} or {b}: which is larger?",
        "Which number is the larger one, {a} or {b}?",
        "Which is more, {a} or {b}?",
    ),
    (
        "Which number is bigger, {a} or {b}?",
        "Would you say {a} or {b} is larger?",
        "{a} or {b}: which number is bigger?",
    ),
)

NUMBER_SKILLS: tuple[NumberSkill, ...] = (SUM, DIFFERENCE, PRODUCT, NEXT, PREVIOUS, LARGER)
