"""A tokenizer.model of SentencePiece."""

from fuzz.file_with import file_with
from sphere_edge.formats import sentencepiece


def read(data: bytes) -> None:
    """`data` as a file."""
    sentencepiece.read(file_with(data, "tokenizer.model"))
