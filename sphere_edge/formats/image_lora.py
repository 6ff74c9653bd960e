"""What a LoRA for an image model must be: whole, finite, and of a kind that the engine computes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats import finite
from sphere_edge.formats.safetensors import read_header

# Endings of tensors that stable-diffusion.cpp passes over, and what changes weights by them.
_KINDS = {"dora_scale": "DoRA", "magnitude_vector": "DoRA", "oft_blocks": "OFT", "diff_b": "biases"}


def check(path: Path) -> None:
    """Raises UnsupportedError (a kind that is not computed), ModelCorruptError, NotFoundError.

    Only of safetensors: the engine reads other files by itself.
    """
    if path.suffix.lower() != ".safetensors" or not path.is_file():
        return
    state = path.stat()
    _check(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _check(path: Path, size: int, modified: int) -> None:
    """Once for a file as it is; `size` and `modified` change with it."""
    entries = read_header(path)
    for entry in entries:
        for ending, kind in _KINDS.items():
            if ending in entry.name:
                message = f"`{path.name}` changes weights by {kind} (`{entry.name[:120]}`)"
                raise UnsupportedError(message, hint="a plain LoRA can be used, or a merged model")
    stored = [finite.Stored(one.name, one.dtype, one.offset, one.bytes) for one in entries]
    for _ in finite.check(path, stored):
        pass
