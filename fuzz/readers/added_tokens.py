"""Tokens beside a tokenizer, as tokenizer_config.json has them."""

from fuzz.file_with import file_with
from sphere_edge.formats import added_tokens


def read(data: bytes) -> None:
    """`data` as a file."""
    added_tokens.read(file_with(data, "tokenizer_config.json").parent)
