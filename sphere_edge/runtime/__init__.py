"""The native core in Python: its C API through ctypes, and the managers on top of it."""

from __future__ import annotations

from sphere_edge.runtime.audio import AudioInfo, AudioManager, Segment, Transcription
from sphere_edge.runtime.generation import Generation, Result
from sphere_edge.runtime.text import TextInfo, TextManager, Vocabulary

__all__ = [
    "AudioInfo",
    "AudioManager",
    "Generation",
    "Result",
    "Segment",
    "TextInfo",
    "TextManager",
    "Transcription",
    "Vocabulary",
]
