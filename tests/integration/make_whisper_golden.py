"""Remakes tests/data/whisper_logits.npz: `python -m tests.integration.make_whisper_golden`.

What transformers makes of tests/random_hf_whisper.py's model and sound in float32: a greedy answer,
and after each of its tokens every 64th logit. Needs torch and transformers (group `train`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from tests import random_hf_whisper

PROMPT = (50258, 50259, 50359, 50363)
ANSWER = 12
EVERY = 64
PATH = Path(__file__).parents[1] / "data" / "whisper_logits.npz"


def main() -> None:
    """Writes the golden."""
    with tempfile.TemporaryDirectory() as place:
        folder = random_hf_whisper.write(Path(place))
        model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    samples = random_hf_whisper.sound()
    features = WhisperFeatureExtractor()(samples, sampling_rate=16000, return_tensors="pt")
    tokens = list(PROMPT)
    rows = []
    with torch.no_grad():
        for _ in range(ANSWER):
            given = torch.tensor([tokens])
            logits = model(features.input_features, decoder_input_ids=given).logits[0]
            rows = logits.numpy()
            tokens.append(int(rows[-1].argmax()))
    PATH.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        PATH, tokens=np.array(tokens[:-1]), answer=np.array(tokens[1:]), logits=rows[:, ::EVERY]
    )
    print(f"{PATH.stat().st_size} bytes, answer {tokens[len(PROMPT) :]}")


if __name__ == "__main__":
    main()
