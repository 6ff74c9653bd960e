"""Makes Whisper checkpoints with random weights as Hugging Face has them, without torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sphere_edge.formats import safetensors, whisper_folder

WIDTH, LAYERS, HEADS = 64, 2, 2
VOCABULARY = 51865
CONFIG = {
    "architectures": ["WhisperForConditionalGeneration"],
    "model_type": "whisper",
    "activation_function": "gelu",
    "d_model": WIDTH,
    "encoder_layers": LAYERS,
    "decoder_layers": LAYERS + 1,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 4 * WIDTH,
    "decoder_ffn_dim": 4 * WIDTH,
    "max_source_positions": 1500,
    "max_target_positions": 448,
    "num_mel_bins": 80,
    "vocab_size": VOCABULARY,
    "scale_embedding": False,
    "pad_token_id": 50257,
    "bos_token_id": 50257,
    "eos_token_id": 50257,
    "decoder_start_token_id": 50258,
}


def write(folder: Path, *, seed: int = 0, **changed: object) -> Path:
    """config.json, vocab.json and 8 MB of float16 weights; the same bytes for the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {**CONFIG, **changed}
    (folder / "config.json").write_text(json.dumps(config))
    letters = whisper_folder._letters()
    words = {letter: i for i, letter in enumerate(letters)}
    words |= {f"\u0120w{i}": i for i in range(256, 50257)}
    (folder / "vocab.json").write_text(json.dumps(words))
    random = np.random.default_rng(seed)
    shapes = whisper_folder._shapes(whisper_folder._dimensions(CONFIG))
    names = [(f"model.{name}", "f16", shape) for name, shape in shapes.items()]
    with safetensors.Writer(folder / "model.safetensors", names) as writer:
        for name, _, shape in names:
            numbers = random.standard_normal(shape, dtype=np.float32)
            if "layer_norm.weight" in name:
                numbers = 1 + numbers / 10
            elif "embed" in name:
                # Small words and large positions: else every answer is one word again and again.
                numbers *= 1 / 16 if "tokens" in name else 4
            else:
                numbers /= 2 * np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 10
            writer.write(name, numbers.astype(np.float16))
    return folder


def sound(seconds: float = 3.0) -> np.ndarray:
    """Three rising tones in noise, float32 at 16 kHz."""
    times = np.arange(round(seconds * 16000)) / 16000
    tones = sum(np.sin(2 * np.pi * (200 * k * times + 150 * times**2)) for k in (1, 3, 7))
    noise = np.random.default_rng(5).standard_normal(len(times))
    return (0.1 * tones + 0.02 * noise).astype(np.float32)
