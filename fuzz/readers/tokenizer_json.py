"""A tokenizer.json: vocabulary, merges, steps before and after."""

from sphere_edge.formats import json_object, token_table


def read(data: bytes) -> None:
    """`data` as a file."""
    token_table.from_tokenizer_json(json_object.parse(data, "tokenizer.json"), 16, False)
