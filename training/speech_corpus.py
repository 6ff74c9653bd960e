"""What the built-in Whisper learns to recognise: digits and short commands, spoken by espeak-ng.

Clips are synthesised once and kept in a folder; utterances are put together from them with pauses,
loudness and noise of their own. Voices and texts of the test are never used in training.
"""

from __future__ import annotations

import io
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

RATE = 16000
Samples = npt.NDArray[np.float32]

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_COMMANDS = (
    "turn on the light", "turn off the light", "turn the light on", "turn the light off",
    "turn on the music", "turn off the music", "open the door", "close the door",
    "open the window", "close the window", "play the music", "stop the music", "pause the music",
    "volume up", "volume down", "go left", "go right", "go forward", "go back", "go up", "go down",
    "turn left", "turn right", "start", "stop", "yes", "no", "next", "back", "help", "hello",
    "start the timer", "stop the timer", "lock the door", "call home", "go home",
)  # fmt: skip
_NUMBERED = ("call", "set the timer to", "volume", "open door", "play")
WORDS = tuple(
    sorted(
        {*DIGITS}
        | {word for text in _COMMANDS for word in text.split()}
        | {word for text in _NUMBERED for word in text.split()}
    )
)

_ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-us-nyc")
_VARIANTS = (
    "", "m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f3", "f4", "Andy", "Annie", "Gene",
    "Mario", "Michael", "Mike", "adam", "anika", "belinda", "caleb", "david", "edward",
    "linda", "max", "paul", "quincy", "rob", "steph", "victor", "zac", "Alex", "Andrea", "antonio",
    "aunty", "benjamin", "boris", "Denis", "Diogo", "ed", "edward2", "Gene2", "gustave", "Henrique",
    "Hugo", "iven", "iven2", "iven3", "iven4", "Jacky", "Lee", "marcelo", "michel", "miguel", "Mr",
    "Nguyen", "pablo", "pedro", "RicishayMax", "RicishayMax2", "RicishayMax3", "robert", "steph2",
    "steph3", "Storm", "Tweaky", "AnxiousAndy", "grandpa", "grandma", "norbert", "sandro", "shelby",
    "travis",
)  # fmt: skip
# Only in the test.
_HELD_OUT_VARIANTS = ("m5", "m8", "f5", "Alicia", "Marco", "john")


@dataclass(frozen=True)
class Clip:
    """Something said without a pause; `samples` from where the voice begins to where it ends."""

    text: str
    samples: Samples


def _voice(chance: random.Random, variants: tuple[str, ...]) -> list[str]:
    variant = chance.choice(variants)
    name = chance.choice(_ACCENTS) + (f"+{variant}" if variant else "")
    speed, pitch = chance.randint(125, 200), chance.randint(25, 75)
    return ["-v", name, "-s", str(speed), "-p", str(pitch)]


def _text(chance: random.Random) -> str:
    """A command, a number of up to seven digits, or both."""
    kind = chance.random()
    if kind < 0.25:
        return chance.choice(_COMMANDS)
    count = chance.choice((1, 1, 2, 3, 3, 4, 4, 5, 6, 7))
    number = " ".join(chance.choice(DIGITS) for _ in range(count))
    return f"{chance.choice(_NUMBERED)} {number}" if kind > 0.85 else number


def _speak(text: str, voice: list[str]) -> Samples:
    said = subprocess.run(
        ["espeak-ng", *voice, "--stdout", text], check=True, capture_output=True, timeout=60
    ).stdout
    samples, rate = soundfile.read(io.BytesIO(said), dtype="float32")
    samples = soxr.resample(samples, rate, RATE).astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return np.asarray(samples[loud[0] : loud[-1] + 1])


def _clips(seed: int, count: int, variants: tuple[str, ...], singles: float) -> list[Clip]:
    chance = random.Random(seed)
    clips = []
    for _ in range(count):
        text = chance.choice(WORDS) if chance.random() < singles else _text(chance)
        clips.append(Clip(text, _speak(text, _voice(chance, variants))))
    return clips


def training_clips(folder: Path, seed: int, count: int) -> list[Clip]:
    """Spoken by the training voices; from the folder if they were made before."""
    kept = folder / f"clips-{seed}-{count}.npz"
    if kept.exists():
        with np.load(kept) as file:
            texts, ends, samples = file["texts"], file["ends"], file["samples"]
        parts = np.split(samples, ends[:-1])
        return [
            Clip(str(text), part.astype(np.float32) / 32767)
            for text, part in zip(texts, parts, strict=True)
        ]
    clips = _clips(seed, count, _VARIANTS, 0.35)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        kept,
        texts=np.array([clip.text for clip in clips]),
        ends=np.cumsum([len(clip.samples) for clip in clips]),
        samples=np.concatenate([(clip.samples * 32767).astype(np.int16) for clip in clips]),
    )
    return clips


def held_out_clips(seed: int, count: int) -> list[Clip]:
    """Texts of the same grammar by voices that it was not trained on."""
    return _clips(10_000 + seed, count, _HELD_OUT_VARIANTS, 0.0)


@dataclass(frozen=True)
class Utterance:
    """`spans`: text, begin and end in seconds of what is said between two long pauses.

    `words`: each word with about when it is said: as if every letter took the same time.
    """

    samples: Samples
    spans: tuple[tuple[str, float, float], ...]
    words: tuple[tuple[str, float, float], ...]


# A pause from which on two clips are two segments.
SEGMENT_PAUSE_S = 0.6


def utterance(clips: list[Clip], chance: np.random.Generator, longest_s: float) -> Utterance:
    """Clips with pauses, another speaker's size, loudness and noise, at most `longest_s` long."""
    parts: list[Samples] = []
    spans: list[tuple[str, float, float]] = []
    words: list[tuple[str, float, float]] = []
    at = 0

    def pause(seconds: float) -> None:
        nonlocal at
        parts.append(np.zeros(int(seconds * RATE), dtype=np.float32))
        at += len(parts[-1])

    pause(chance.uniform(0, 0.5))
    gap = np.inf
    for _ in range(chance.choice((0, 1, 2, 3, 4), p=(0.04, 0.4, 0.26, 0.2, 0.1))):
        clip = _as_another(clips[chance.integers(len(clips))], chance)
        if at + len(clip.samples) > longest_s * RATE:
            break
        begin = at / RATE
        parts.append(clip.samples * np.float32(chance.uniform(0.5, 1)))
        at += len(clip.samples)
        words += _shares(clip.text, begin, at / RATE)
        if spans and gap < SEGMENT_PAUSE_S:
            text, first, _ = spans.pop()
            spans.append((f"{text} {clip.text}", first, at / RATE))
        else:
            spans.append((clip.text, begin, at / RATE))
        gap = chance.uniform(0.05, 0.4) if chance.random() < 0.6 else chance.uniform(0.7, 1.4)
        pause(gap)
    samples = np.concatenate(parts) if parts else np.zeros(RATE, dtype=np.float32)
    return Utterance(_disturbed(samples, chance), tuple(spans), tuple(words))


def _as_another(clip: Clip, chance: np.random.Generator) -> Clip:
    """The clip by a larger or smaller speaker: played slower or faster, all formants with it.

    Speed perturbation of Ko et al., Audio Augmentation for Speech Recognition (2015), wider: there
    are few voices here, and without it a model learns those instead of the words.
    """
    if chance.random() < 0.2:
        return clip
    count = int(len(clip.samples) / chance.uniform(0.83, 1.2))
    places = np.linspace(0, len(clip.samples) - 1, count)
    samples = np.interp(places, np.arange(len(clip.samples)), clip.samples)
    return Clip(clip.text, samples.astype(np.float32))


def _shares(text: str, begin: float, end: float) -> list[tuple[str, float, float]]:
    letter = (end - begin) / len(text)
    shares = []
    for word in text.split():
        shares.append((word, begin, begin + letter * len(word)))
        begin += letter * (len(word) + 1)
    return shares


def _disturbed(samples: Samples, chance: np.random.Generator) -> Samples:
    """Louder or quieter, with some or no noise, whose spectrum is white to brown."""
    loudness = np.float32(10 ** chance.uniform(-1.0, 0.0))
    if chance.random() < 0.35:
        return samples * loudness
    noise = chance.standard_normal(len(samples) + 1).astype(np.float32)
    tilt = np.float32(chance.uniform(0, 0.95))
    noise = noise[1:] + tilt * noise[:-1]
    level = np.float32(10 ** chance.uniform(-4, -1.9))
    return np.asarray((samples + noise * level) * loudness)
