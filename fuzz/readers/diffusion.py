"""The file of an image model, whole or a part."""

from fuzz.file_with import file_with
from sphere_edge.formats import diffusion


def read(data: bytes) -> None:
    """`data` as a file, and its numbers."""
    path = file_with(data, "model.safetensors")
    diffusion.parts(path)
    for _ in diffusion.check_finite(path):
        pass
