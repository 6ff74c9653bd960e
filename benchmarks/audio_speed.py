"""Compares sphere-edge's speech recognition with whisper.cpp's own program, on the same ggml.

    python benchmarks/audio_speed.py --rounds 5 --threads 2

Both transcribe the same wav files in turn, with the same model and options: each text must be the
same, and our time at most 1/0.97 of theirs. Its program is the one that the tests compare with,
compiled with the very ggml of our runtime (only our own files have sanitizers there). Times are
those that whisper.cpp itself takes of encoder and decoder; loading is left out of both.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from statistics import median

import soundfile

from sphere_edge import console, resources
from sphere_edge.run import run
from sphere_edge.toolchain import native, targets

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))
import sanitized

_LINE = re.compile(r"^\[[\d:. >-]+\]  (.*)$", re.MULTILINE)
_TIME = re.compile(r"(encode|decode|batchd|prompt|sample|mel) time =\s*([\d.]+) ms")


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a whisper.cpp file; default: the built-in one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--beam-size", type=int, default=0)
    parser.add_argument("--words", action="store_true", help="with the times of words")
    parser.add_argument("files", nargs="*", type=Path, help="wav of 16 kHz; default: built-in ones")
    options = parser.parse_args()
    model = options.model or resources.tiny_whisper()
    runner = native.build(targets.host(), console.progress()).runner
    peer = sanitized.build() / "whisper-cli"
    with tempfile.TemporaryDirectory() as folder:
        files = options.files or _samples(Path(folder))
        ours: list[float] = []
        theirs: list[float] = []
        same = True
        for _ in range(options.rounds):
            mine, other = [], []
            for file in files:
                mine.append(_ours(runner, model, file, options))
                other.append(_theirs(peer, model, file, options))
            same = same and [text for text, _ in mine] == [text for text, _ in other]
            ours.append(sum(seconds for _, seconds in mine))
            theirs.append(sum(seconds for _, seconds in other))
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    figures = {
        "files": len(files),
        "texts_are_equal": same,
        "ours_s": median(ours),
        "whisper_cli_s": median(theirs),
        "speed_ratio": median(ratios),
        "ratios": ratios,
    }
    print(json.dumps(figures, indent=2))
    if not same or figures["speed_ratio"] < 0.97:
        raise SystemExit(1)


def _samples(folder: Path) -> list[Path]:
    files = []
    for path in sorted(resources.speech_samples().glob("*.flac")):
        samples, rate = soundfile.read(path, dtype="int16")
        files.append(folder / f"{path.stem}.wav")
        soundfile.write(files[-1], samples, rate, subtype="PCM_16")
    return files


def _ours(runner: Path, model: Path, file: Path, options: argparse.Namespace) -> tuple[str, float]:
    words = [runner, "transcribe", model, file, "--language", "en", "--json"]
    words += ["--threads", str(options.threads), "--beam-size", str(options.beam_size)]
    figures = json.loads(
        run([*words, *(["--words"] if options.words else [])], timeout_s=600).stdout
    )
    return figures["text"].strip(), figures["encode_seconds"] + figures["decode_seconds"]


def _theirs(
    program: Path, model: Path, file: Path, options: argparse.Namespace
) -> tuple[str, float]:
    words = [program, "-m", model, "-f", file, "-l", "en", "-t", str(options.threads)]
    words += ["-bs", str(max(options.beam_size, 1)), "-bo", "5", "-ng"]
    done = run(words, timeout_s=600)
    seconds = sum(float(time) for _, time in _TIME.findall(done.stderr)) / 1000
    return "".join(_LINE.findall(done.stdout)).strip(), seconds


if __name__ == "__main__":
    main()
