"""The index of a model's shards, as a hub has it."""

from fuzz.file_with import file_with
from sphere_edge.formats import shards


def read(data: bytes) -> None:
    """`data` as a file."""
    shards.index_files(file_with(data, "model.safetensors.index.json"))
