"""Runs the three managers of one library at once: python three_managers.py IMAGE_BUNDLE FOLDER."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from sphere_edge import AudioManager, ImageManager, TextManager
from sphere_edge.runtime import library
from tests import random_gguf, random_whisper
from tests.image_calls import pixels


def main(bundle: Path, folder: Path) -> None:
    """Ends with a traceback where an output differs from what its manager gives alone."""
    loaded = library.load(engine="diffusion")
    assert all(library.load(engine=one) is loaded for one in ("tvm", "llama", "whisper"))
    image = ImageManager.open(bundle)
    audio = AudioManager.open(random_whisper.write(folder / "whisper.bin"))
    text = TextManager.open(random_gguf.write(folder / "text.gguf"))
    noise = (np.random.default_rng(1).standard_normal(16000) * 0.1).astype(np.float32)

    def talk() -> object:
        return text.generate("the", max_tokens=40, temperature=0).text()

    def transcribe() -> object:
        return audio.transcribe(noise, language="en", temperature_step=0.0).text()

    def generate() -> object:
        return pixels(image)

    work = (talk, transcribe, generate)
    alone = [do() for do in work]
    together: dict[int, list[object]] = {}

    def repeat(index: int) -> None:
        together[index] = [work[index]() for _ in range(2)]

    threads = [threading.Thread(target=repeat, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert together == {index: [output] * 2 for index, output in enumerate(alone)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
