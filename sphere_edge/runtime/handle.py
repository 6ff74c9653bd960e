"""One opened model of the C API: a pointer that is closed once, and what all kinds of it do."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from ctypes import c_int32, c_size_t, c_void_p
from typing import Any

import numpy as np
import numpy.typing as npt

from sphere_edge import errors
from sphere_edge.runtime import binding, options
from sphere_edge.runtime.interruptible import interruptible

TokenIds = Sequence[int] | npt.NDArray[np.int32]

_GREATEST_TOKEN = 0x7FFFFFFF


class Handle:
    """An `se_text`, `se_audio` or `se_image`; only `cancel` may be called from a second thread."""

    def __init__(self, core: binding.Library, opener: str, *arguments: Any) -> None:
        """Opens by the C function `opener`, whose last argument is the out_ pointer."""
        self._core = core
        # "se_text" of "se_text_open".
        self._kind = "_".join(opener.split("_")[:2])
        # Reentrant: the collector may end a Generation, which cancels, inside any line of ours.
        self._lock = threading.RLock()
        self._pointer: c_void_p | None = None
        pointer = c_void_p()
        interruptible(
            lambda: core.call(opener, *arguments, ctypes.byref(pointer)),
            dropped=lambda: core.tell(f"{self._kind}_close", pointer),
        )
        self._pointer = pointer

    @property
    def core(self) -> binding.Library:
        """The library that opened it, for what belongs to the model."""
        return self._core

    def status(self, name: str, *arguments: Any) -> errors.SphereEdgeError | None:
        """Calls `name(pointer, …)`; its failure is returned."""
        return self._core.status(name, self._open_pointer(), *arguments)

    def call(self, name: str, *arguments: Any) -> None:
        """Calls `name(pointer, …)`; its failure is raised."""
        self._core.call(name, self._open_pointer(), *arguments)

    def long_call(self, name: str, *arguments: Any) -> None:
        """The same for a call that computes: Ctrl-C cancels it."""
        pointer = self._open_pointer()
        interruptible(lambda: self._core.call(name, pointer, *arguments), cancel=self.cancel)

    def string(self, name: str, *arguments: Any) -> str:
        """Calls `name(pointer, …, out_string)`."""
        return self._core.string(name, self._open_pointer(), *arguments)

    def tokenize(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids of `text`."""
        encoded = options.utf8("the text", text)
        count = c_size_t()
        # Nearly always enough; when not, the core has told how many there are.
        capacity = len(encoded) // 2 + 16
        while True:
            ids = (c_int32 * capacity)()
            arguments = (encoded, len(encoded), add_special, parse_special, ids, capacity)
            self.call("se_text_tokenize", *arguments, ctypes.byref(count))
            if count.value <= capacity:
                return list(ids[: count.value])
            capacity = count.value

    def detokenize(self, token_ids: TokenIds, keep_special: bool) -> str:
        """The text of these tokens."""
        ids, count = as_array(token_ids)
        text, size = c_void_p(), c_size_t()
        arguments = (ids, count, keep_special, ctypes.byref(text), ctypes.byref(size))
        self.call("se_text_detokenize", *arguments)
        try:
            return ctypes.string_at(text, size.value).decode("utf-8", "replace")
        finally:
            self._core.tell("se_string_free", text)

    def cancel(self) -> None:
        """Cancels a running call; does nothing to a closed handle."""
        with self._lock:
            if self._pointer is not None:
                self._core.tell(f"{self._kind}_cancel", self._pointer)

    def close(self) -> None:
        """Frees the model; the second time nothing."""
        with self._lock:
            pointer, self._pointer = self._pointer, None
        if pointer is not None:
            self._core.tell(f"{self._kind}_close", pointer)

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.close()

    def _open_pointer(self) -> c_void_p:
        if self._pointer is None:
            message = "the model has been closed"
            raise errors.InvalidArgumentError(message, hint="open it again")
        return self._pointer


def as_array(token_ids: TokenIds) -> tuple[Any, int]:
    """A C array of int32 and its length. Raises InvalidArgumentError for anything but ids."""
    try:
        ids = np.asarray(token_ids)
    except ValueError as error:
        message = "token ids are not one list of whole numbers"
        raise errors.InvalidArgumentError(message) from error
    if ids.size == 0:
        ids = ids.astype(np.int32)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        message = f"token ids are not one list of whole numbers, but {ids.ndim}-d `{ids.dtype}`"
        raise errors.InvalidArgumentError(message)
    if ids.size and (ids.min() < 0 or ids.max() > _GREATEST_TOKEN):
        message = "a token id is out of range"
        raise errors.InvalidArgumentError(message)
    ids = np.ascontiguousarray(ids, dtype=np.int32)
    pointer = ids.ctypes.data_as(ctypes.POINTER(c_int32))
    return pointer, ids.size
