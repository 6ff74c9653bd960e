"""A Whisper model as whisper.cpp has them."""

from fuzz.file_with import file_with
from sphere_edge.formats import whisper


def read(data: bytes) -> None:
    """`data` as a file, and its numbers."""
    for _ in whisper.check_finite(whisper.read(file_with(data, "ggml-model.bin"))):
        pass
