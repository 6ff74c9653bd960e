"""Handle: one opened model of the C API, a pointer that is closed once; the same for every kind."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import threading
from collections.abc import Callable
from ctypes import c_void_p
from typing import Any, TypeVar

from sphere_edge import errors
from sphere_edge.runtime.binding import C, Library
from sphere_edge.runtime.c_function import Checked, Plain
from sphere_edge.runtime.interruptible import interruptible

Info = TypeVar("Info")


@dataclasses.dataclass(frozen=True)
class Kind:
    """The functions that every kind of model has; `open` ends with the out_ pointer."""

    open: Checked
    info: Checked
    cancel: Plain
    close: Plain


TEXT = Kind(C.se_text_open, C.se_text_info, C.se_text_cancel, C.se_text_close)
VOCABULARY = dataclasses.replace(TEXT, open=C.se_text_open_vocabulary)
AUDIO = Kind(C.se_audio_open, C.se_audio_info, C.se_audio_cancel, C.se_audio_close)
IMAGE = Kind(C.se_image_open, C.se_image_info, C.se_image_cancel, C.se_image_close)


class Handle:
    """An `se_text`, `se_audio` or `se_image`; only `cancel` may be called from a second thread."""

    def __init__(self, library: Library, kind: Kind, *arguments: Any) -> None:
        """Opens it with `arguments`. Raises what the core reports."""
        self.library = library
        self._kind = kind
        # Reentrant: the collector may end an OutputStream, which cancels, inside any line of ours.
        self._lock = threading.RLock()
        self._pointer: c_void_p | None = None
        pointer = c_void_p()
        interruptible(
            lambda: library.call(kind.open, *arguments, ctypes.byref(pointer)),
            dropped=lambda: library.run(kind.close, pointer),
        )
        self._pointer = pointer

    def info(self, into: Callable[..., Info], name: str) -> Info:
        """What was opened: the dataclass `into`, from the core's JSON and the model's `name`."""
        values = json.loads(self.string(self._kind.info))
        names = {field.name for field in dataclasses.fields(into)} - {"name"}  # type: ignore[arg-type]
        return into(name=name, **{key: values[key] for key in names})

    def status(self, function: Checked, *arguments: Any) -> errors.SphereEdgeError | None:
        """Calls `function(pointer, …)`; its failure is returned."""
        return self.library.status(function, self._open_pointer(), *arguments)

    def call(self, function: Checked, *arguments: Any) -> None:
        """Calls `function(pointer, …)`; its failure is raised."""
        self.library.call(function, self._open_pointer(), *arguments)

    def long_call(self, function: Checked, *arguments: Any) -> None:
        """The same for a call that computes: Ctrl-C cancels it."""
        pointer = self._open_pointer()
        interruptible(lambda: self.library.call(function, pointer, *arguments), cancel=self.cancel)

    def string(self, function: Checked, *arguments: Any) -> str:
        """Calls `function(pointer, …, out_string)`."""
        return self.library.string(function, self._open_pointer(), *arguments)

    def cancel(self) -> None:
        """Cancels a running call; does nothing to a closed handle."""
        with self._lock:
            if self._pointer is not None:
                self.library.run(self._kind.cancel, self._pointer)

    def cancel_call(self, call_id: int) -> None:
        """Cancels the call with this id, of the calls on a text model."""
        with self._lock:
            if self._pointer is not None:
                self.library.run(C.se_text_cancel_call, self._pointer, call_id)

    def close(self) -> None:
        """Frees the model; the second time nothing."""
        with self._lock:
            pointer, self._pointer = self._pointer, None
        if pointer is not None:
            self.library.run(self._kind.close, pointer)

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.close()

    def _open_pointer(self) -> c_void_p:
        if self._pointer is None:
            message = "the model has been closed"
            raise errors.InvalidArgumentError(message, hint="open it again")
        return self._pointer
