"""Embeddings: vectors of texts, and the one call of the core that makes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sphere_edge.errors import InvalidArgumentError
from sphere_edge.runtime import arguments, binding
from sphere_edge.runtime.binding import C
from sphere_edge.runtime.handle import Handle

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Pooling = Literal["mean", "cls", "last"]
# By the numbers of se_pooling, after SE_POOLING_MODEL.
_POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "last")
# Above them are those that generations have.
MOST_CALL_IDS = 2**32 - 1


@dataclass(frozen=True)
class EmbedRequest:
    """How texts become vectors.

    `pooling` None: as the model says, or `mean` if it says nothing. `normalize`: to length 1.
    `truncate`: cut off texts that are too long instead of refusing them. `call_id`: a number from 1
    to 2^32 - 1 that no other call has, by which `TextManager.cancel_call` ends it.
    """

    pooling: Pooling | None = None
    normalize: bool = True
    truncate: bool = False
    timeout_s: float | None = None
    call_id: int | None = None


@dataclass(frozen=True)
class Embeddings:
    """`vectors`: float32 [texts, embedding_size]; `truncated` of the texts were cut off."""

    vectors: npt.NDArray[np.float32]
    tokens: int
    truncated: int
    seconds: float


def embed(handle: Handle, size: int, texts: Sequence[str], request: EmbedRequest) -> Embeddings:
    """The vectors of `texts`, each of `size` numbers. Raises InvalidArgumentError."""
    import numpy as np

    if isinstance(texts, str):
        message = f"texts are a list of strings, not the string `{texts[:40]}`"
        raise InvalidArgumentError(message, hint="put it into a list")
    if request.pooling not in (None, *_POOLINGS):
        message = f"no such pooling: `{request.pooling}`"
        raise InvalidArgumentError(message, hint=f"one of: {', '.join(_POOLINGS)}")
    encoded = [arguments.string("a text", text) for text in texts]
    options = binding.EmbedOptions(
        size=ctypes.sizeof(binding.EmbedOptions),
        pooling=0 if request.pooling is None else 1 + _POOLINGS.index(request.pooling),
        raw=not request.normalize,
        truncate=bool(request.truncate),
    )
    if request.call_id is not None:
        options.call_id = arguments.count("call_id", request.call_id, MOST_CALL_IDS, least=1)
    if request.timeout_s is not None:
        options.timeout_ms = arguments.milliseconds("timeout_s", request.timeout_s)
    vectors = np.empty((len(encoded), size), dtype=np.float32)
    result = binding.EmbedResult(size=ctypes.sizeof(binding.EmbedResult))
    handle.long_call(
        C.se_text_embed,
        *((ctypes.c_char_p * len(encoded))(*encoded), len(encoded), ctypes.byref(options)),
        *(vectors.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), vectors.size),
        ctypes.byref(result),
    )
    return Embeddings(vectors, result.tokens, result.truncated, result.seconds)
