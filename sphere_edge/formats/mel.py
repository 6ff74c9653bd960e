"""The mel filters of Whisper: triangles that are even in Slaney's mel scale and equal in area.

Source: Slaney, Auditory Toolbox (1998), as librosa and OpenAI's mel_filters.npz have them.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_SAMPLE_RATE = 16000
_FOURIER_BINS = 201
# Straight up to 1000 Hz, logarithmic above it: 27 steps multiply by 6.4.
_HZ_PER_MEL = 200 / 3
_KNEE_HZ = 1000.0
_LOG_STEP = math.log(6.4) / 27


def filters(bins: int) -> npt.NDArray[np.float32]:
    """Weights [bins, 201] of the spectrum's lines from 0 to 8000 Hz."""
    edges = _hertz(np.linspace(0, _mel(_SAMPLE_RATE / 2), bins + 2))
    lines = np.linspace(0, _SAMPLE_RATE / 2, _FOURIER_BINS)
    widths = np.diff(edges)
    distances = edges[:, None] - lines[None, :]
    rising = -distances[:-2] / widths[:-1, None]
    falling = distances[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    areas = 2 / (edges[2:] - edges[:-2])
    return np.asarray(triangles * areas[:, None], dtype=np.float32)


def _mel(hertz: float) -> float:
    knee = _KNEE_HZ / _HZ_PER_MEL
    return (
        hertz / _HZ_PER_MEL if hertz < _KNEE_HZ else knee + math.log(hertz / _KNEE_HZ) / _LOG_STEP
    )


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    knee = _KNEE_HZ / _HZ_PER_MEL
    above = _KNEE_HZ * np.exp(_LOG_STEP * (mels - knee))
    return np.where(mels < knee, mels * _HZ_PER_MEL, above)
