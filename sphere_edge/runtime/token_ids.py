"""Token ids as callers give them, checked and as the C API takes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_int32
from typing import TYPE_CHECKING, Any, TypeAlias

from sphere_edge.errors import InvalidArgumentError
from sphere_edge.runtime import arguments

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TokenIds: TypeAlias = "Sequence[int] | npt.NDArray[np.int32]"


def as_array(token_ids: TokenIds) -> tuple[Any, int]:
    """A C array of int32 and its length. Raises InvalidArgumentError for anything but ids."""
    # Not needed to generate text from text, and a tenth of a second of processor time to import.
    import numpy as np

    try:
        ids = np.asarray(token_ids)
    except ValueError as error:
        message = "token ids are not one list of whole numbers"
        raise InvalidArgumentError(message) from error
    if ids.size == 0:
        ids = ids.astype(np.int32)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        message = f"token ids are not one list of whole numbers, but {ids.ndim}-d `{ids.dtype}`"
        raise InvalidArgumentError(message)
    if ids.size and (ids.min() < 0 or ids.max() > arguments.INT32):
        message = "a token id is out of range"
        raise InvalidArgumentError(message)
    ids = np.ascontiguousarray(ids, dtype=np.int32)
    pointer = ids.ctypes.data_as(ctypes.POINTER(c_int32))
    return pointer, ids.size
