"""Samples as a wav file, as the runner on a device reads them."""

from __future__ import annotations

import io
import wave

import numpy as np

from sphere_edge.runtime import sound


def wav_of(samples: sound.Samples) -> bytes:
    """A wav file of 16 kHz, 16 bit and one channel."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.SAMPLE_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return content.getvalue()
