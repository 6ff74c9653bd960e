"""Counts the words that a speech model gets wrong: `python -m training.evaluate_speech MODEL`.

On recordings by voices that it was not trained on, greedily and with one attempt. Needs espeak-ng.
Prints one JSON object: all words, and digits and the words of commands apart.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import soundfile

from sphere_edge import AudioManager
from training import speech_corpus
from training.speech_corpus import DIGITS, RATE, Clip


def wrong_words(spoken: str, recognised: str) -> int:
    """Insertions, deletions and substitutions between two texts, the fewest that explain them."""
    one, other = spoken.split(), recognised.split()
    row = list(range(len(other) + 1))
    for i, word in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, its in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != its))
    return row[-1]


def evaluated(model: Path, clips: Iterable[Clip]) -> dict[str, object]:
    """Word error rates of the file or bundle, and every clip that it got wrong."""
    words: dict[str, int] = {"digits": 0, "commands": 0}
    wrong = dict(words)
    missed = []
    with AudioManager.open(model, threads=1) as audio:
        for clip in clips:
            kind = "digits" if set(clip.text.split()) <= set(DIGITS) else "commands"
            recognised = audio.transcribe(clip.samples, temperature_step=0.0).text()
            words[kind] += len(clip.text.split())
            wrong[kind] += wrong_words(clip.text, recognised)
            if recognised != clip.text:
                missed.append({"spoken": clip.text, "recognised": recognised})
    rates = {kind: wrong[kind] / max(words[kind], 1) for kind in words}
    total = sum(words.values())
    return {
        "words": total,
        "word_error_rate": sum(wrong.values()) / total,
        "words_of": words,
        "word_error_rate_of": rates,
        "missed": missed,
    }


def keep_samples(folder: Path, clips: list[Clip]) -> None:
    """Writes the clips as flac, with `samples.json` that says which says what."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, clip in enumerate(clips):
        soundfile.write(folder / f"{i:02}.flac", clip.samples, RATE, subtype="PCM_16")
    spoken = {f"{i:02}.flac": clip.text for i, clip in enumerate(clips)}
    (folder / "samples.json").write_text(json.dumps(spoken, indent=2) + "\n")


def main() -> None:
    """Synthesises, transcribes and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=250, help="recordings")
    parser.add_argument("--samples", type=Path, help="folder for the first twelve recordings")
    options = parser.parse_args()
    clips = speech_corpus.held_out_clips(options.seed, options.count)
    if options.samples is not None:
        keep_samples(options.samples, clips[:12])
    print(json.dumps(evaluated(options.model, clips), indent=2))


if __name__ == "__main__":
    main()
