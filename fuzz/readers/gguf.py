"""The header of a GGUF file."""

import io
from pathlib import Path

from sphere_edge.formats import gguf


def read(data: bytes) -> None:
    """`data` as a file, and what is told of it."""
    file = gguf.read_from(Path("fuzzed.gguf"), io.BytesIO(data))
    gguf.check_alignment(file)
    _ = file.quantization, file.parameters, file.context_tokens, file.vocab_size, file.tokenizer
