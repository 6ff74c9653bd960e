"""Which tokens a reference is made of, and by which steps a device computes them.

Chosen so that every kernel runs in each of its ways: one token and many, odd counts and whole
tiles, from position 0 and from the middle, beyond one prefill call, beyond a sliding window, after
a rewind, and row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.bundle.reference import Step

# Ordinary text, numbers, code and other scripts: what a model sees all day.
REFERENCE_TEXT = """The sky is blue because air scatters short waves of sunlight more than long \
ones. At noon on 21 March 2024 the thermometer showed 17.5 degrees, 3 more than the day before.
def area(width, height):
    return width * height  # square metres
Der Zug nach Köln fährt um 14:05 Uhr ab. 東京は日本の首都です。 "Why not?" she asked, and he said: \
because 12 + 30 = 42.
"""
# Prefixes whose logits are kept: ends of tiles and blocks, and their neighbours.
_POSITIONS = (1, 2, 3, 5, 16, 17, 18, 31, 32, 33, 63, 64, 65, 128, 129, 130, 255, 256, 257)
_DECODED = tuple(range(34, 42))
_SHORTEST, _BEYOND, _DETOUR = 48, 72, 20
TRACE_TOKENS = 17
# Multiplications that making a reference may cost.
_BUDGET = 6e11


@dataclass(frozen=True)
class Plan:
    """Tokens, and what to compute of them; `positions`: where rows are kept."""

    tokens: tuple[int, ...]
    detour: tuple[int, ...]
    positions: tuple[int, ...]
    columns: tuple[int, ...]
    steps: tuple[Step, ...]
    trace_tokens: int


@dataclass(frozen=True)
class PlanLimits:
    """What of a model decides its plan; `window`: its sliding window, None: it has none."""

    parameters: int
    context_tokens: int
    prefill_tokens: int
    score_tokens: int
    window: int | None


def plan(text: list[int], vocabulary: int, limits: PlanLimits) -> Plan:
    """The plan for a model; `text`: the ids of REFERENCE_TEXT, `vocabulary`: how many there are.

    Large models get fewer tokens, never fewer than 48 where the context has room for them.
    """
    prefill_tokens, window = limits.prefill_tokens, limits.window
    wanted = prefill_tokens + _BEYOND
    if window is not None and window + _BEYOND <= limits.context_tokens:
        wanted = max(wanted, window + _BEYOND)
    affordable = max(_SHORTEST, int(_BUDGET / limits.parameters))
    length = max(1, min(wanted, affordable, limits.context_tokens - _DETOUR))
    random = _ids(vocabulary)
    tokens = [*text[: length // 2], *random[:length]][:length]
    edges = {prefill_tokens + i for i in (-1, 0, 1, 2)} | {(window or 1) + i for i in (0, 1, 2)}
    positions = sorted(p for p in {*_POSITIONS, *_DECODED, *edges, length - 1, length} if p > 0)
    positions = [position for position in positions if position <= length]
    return Plan(
        tokens=tuple(tokens),
        detour=tuple(random[length : length + _DETOUR]),
        positions=tuple(positions),
        columns=_columns(vocabulary),
        steps=_steps(length, prefill_tokens, limits.score_tokens),
        trace_tokens=TRACE_TOKENS if length > TRACE_TOKENS else 0,
    )


def _steps(length: int, prefill_tokens: int, score_tokens: int) -> tuple[Step, ...]:
    steps = [
        Step(name="decode from an empty context", length=1, from_empty=True, short=True),
        *(Step(name=f"decode token {n}", length=n) for n in (2, 3)),
        *(
            Step(name=f"prefill {n}", length=n, from_empty=True, short=n in (2, 33))
            for n in (2, 3, 5, 16, 31, 32, 33)
        ),
        *(Step(name=f"decode token {n}", length=n, short=True) for n in _DECODED),
        *(Step(name=f"prefill {n}", length=n, from_empty=True) for n in (64, 65, 129, 257)),
        Step(name="prefill 17", length=17, from_empty=True, short=True),
        Step(name="prefill from 17 to 64", length=64, short=True),
        Step(name="prefill from 64 to 130", length=130, short=True),
        Step(name="another continuation of 33", length=33, detour=_DETOUR, short=True),
        Step(name="back to 33, then on to 65", length=65, short=True),
        Step(name="score", length=min(length, 2 * score_tokens + 1), score=True, short=True),
        Step(name="decode after score", length=min(length, 2 * score_tokens + 2)),
    ]
    if length > prefill_tokens:
        first = prefill_tokens + 1
        steps += [
            Step(name=f"prefill {first}, two calls", length=first, from_empty=True),
            Step(name=f"decode token {first + 1}", length=first + 1),
        ]
    steps += [
        Step(name=f"prefill {length}, the longest", length=length, from_empty=True, short=True),
        Step(name="prefill to the last token but one", length=max(1, length - 1), from_empty=True),
        Step(name="decode the last token", length=length),
    ]
    return tuple(step for step in steps if step.length <= length)


def _ids(vocabulary: int, count: int = 1 << 16) -> list[int]:
    """The first and last tokens, then pseudo-random ones."""
    state, ids = 12345, [0, vocabulary - 1, vocabulary // 2]
    while len(ids) < count:
        state = (state * 1664525 + 1013904223) % 2**32  # Numerical Recipes
        ids.append((state >> 8) % vocabulary)
    return ids


def _columns(vocabulary: int, most: int = 4096) -> tuple[int, ...]:
    """Columns of the logits that are kept: all, or evenly spread with the last one."""
    step = -(-vocabulary // most)
    return tuple(sorted({*range(0, vocabulary, step), vocabulary - 1}))
