"""Measures how soon speech recognition ends when it is cancelled, and how often it tells progress.

    python benchmarks/audio_latency.py --width 512 --layers 6 --threads 2

On a model with random weights (the default is as large as Whisper base), with the longest window
that AudioManager hands to the engine: the spectrogram of all of it is made before anything else.
Cancels at moments spread over the whole call. Each must be within 200 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from sphere_edge import AudioManager

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests import random_whisper

_RATE = 16000


def main() -> None:
    """Prints one JSON object, times in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=600, help="of audio")
    parser.add_argument("--cancels", type=int, default=20)
    options = parser.parse_args()
    shape = random_whisper.Shape(width=options.width, heads=8, layers=options.layers)
    noise = np.random.default_rng(1).standard_normal(options.seconds * _RATE) * 0.1
    samples = noise.astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        model = random_whisper.write(Path(folder) / "random.bin", shape)
        with AudioManager.open(model, threads=options.threads) as audio:
            audio.transcribe(samples[:_RATE], language="en", temperature_step=0.0).text()
            # Half of them in the first second and a half: the spectrogram, the encoder.
            early = np.linspace(0.02, 1.5, options.cancels // 2)
            late = np.linspace(1.5, 6, options.cancels - len(early))
            cancels, gaps = [], []
            for after in (*early, *late):
                cancel, called = _cancelled(audio, samples, float(after))
                cancels.append(cancel)
                gaps += called
    print(
        json.dumps(
            {
                "cancel_ms": {"median": median(cancels), "most": max(cancels)},
                "between_progress_ms": {"median": median(gaps), "most": max(gaps)},
                "cancels_ms": [round(ms, 1) for ms in cancels],
            },
            indent=2,
        )
    )


def _cancelled(
    audio: AudioManager, samples: np.ndarray, after_s: float
) -> tuple[float, list[float]]:
    """How long it went on after it was cancelled, and the times between two progress calls."""
    called = [time.monotonic()]
    answer = audio.transcribe(
        samples,
        language="en",
        temperature_step=0.0,
        on_progress=lambda _: called.append(time.monotonic()),
    )
    time.sleep(after_s)
    begun = time.monotonic()
    answer.close()
    ended = time.monotonic()
    called.append(begun)
    gaps = [1000 * (b - a) for a, b in zip(called, called[1:], strict=False) if b <= begun]
    return 1000 * (ended - begun), gaps


if __name__ == "__main__":
    main()
