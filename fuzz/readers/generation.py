"""A model's advice on sampling, generation_config.json."""

from fuzz.file_with import file_with
from sphere_edge.formats import generation


def read(data: bytes) -> None:
    """`data` as a file."""
    generation.sampling_defaults(file_with(data, "generation_config.json").parent)
