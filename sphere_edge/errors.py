"""Every error a user can meet, each with its status code, the same in C, Python, Kotlin and Swift.

SphereEdgeError
├── OutOfMemoryError       1 OOM_VRAM, 2 OOM_RAM
├── ModelCorruptError      3 MODEL_CORRUPT      a file is damaged, truncated or contradicts itself
├── TimeoutError           4 TIMEOUT
├── CancelledError         5 CANCELLED
├── UnsupportedError       6 UNSUPPORTED        understood, but we do not do it
├── InternalError          7 INTERNAL           our bug
├── FormatMismatchError    8 FORMAT_MISMATCH    made for another runtime, CPU, schema or manager
├── LoadFailedError        9 LOAD_FAILED
├── InvalidArgumentError  10 INVALID_ARGUMENT   an argument is invalid
├── NotFoundError         11 NOT_FOUND          no such profile, file, model, device
├── StorageError          12 STORAGE            full disk, no permission, output exists
├── UnavailableError      13 UNAVAILABLE        hub, network or device does not answer
└── UntrustedError        14 UNTRUSTED          no trusted key has signed the bundle
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import ClassVar

# What the system calls a file that cannot grow.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Status(IntEnum):
    """Status codes of `native/include/sphere_edge.h`; new ones are added at the end only."""

    OK = 0
    OOM_VRAM = 1
    OOM_RAM = 2
    MODEL_CORRUPT = 3
    TIMEOUT = 4
    CANCELLED = 5
    UNSUPPORTED = 6
    INTERNAL = 7
    FORMAT_MISMATCH = 8
    LOAD_FAILED = 9
    INVALID_ARGUMENT = 10
    NOT_FOUND = 11
    STORAGE = 12
    UNAVAILABLE = 13
    UNTRUSTED = 14


class SphereEdgeError(Exception):
    """What happened (`message`), what the user can do (`hint`) and the status `code`."""

    status: ClassVar[Status] = Status.INTERNAL

    def __init__(
        self, message: str, *, hint: str | None = None, code: Status | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = self.status if code is None else code


class OutOfMemoryError(SphereEdgeError):
    """Does not fit in memory; `code` says whether in RAM (the default) or on the GPU."""

    status = Status.OOM_RAM


class ModelCorruptError(SphereEdgeError):
    """A model or bundle file is damaged, truncated or contradicts itself."""

    status = Status.MODEL_CORRUPT


class TimeoutError(SphereEdgeError):  # noqa: A001  the status code's own name; always used as errors.TimeoutError
    """An operation took longer than it was allowed to."""

    status = Status.TIMEOUT


class CancelledError(SphereEdgeError):
    """The user or another thread stopped the operation."""

    status = Status.CANCELLED


class UnsupportedError(SphereEdgeError):
    """The input is understood and sound, but sphere-edge cannot handle it."""

    status = Status.UNSUPPORTED


class InternalError(SphereEdgeError):
    """A bug in sphere-edge."""

    status = Status.INTERNAL


class FormatMismatchError(SphereEdgeError):
    """Made for another runtime version, CPU level, schema or manager."""

    status = Status.FORMAT_MISMATCH


class LoadFailedError(SphereEdgeError):
    """A sound model could not be loaded."""

    status = Status.LOAD_FAILED


class InvalidArgumentError(SphereEdgeError):
    """An argument is invalid."""

    status = Status.INVALID_ARGUMENT


class NotFoundError(SphereEdgeError):
    """There is no profile, file, model or device of that name."""

    status = Status.NOT_FOUND


class StorageError(SphereEdgeError):
    """A file could not be written: full disk, no permission, output exists."""

    status = Status.STORAGE


class UnavailableError(SphereEdgeError):
    """A hub, network or device does not answer."""

    status = Status.UNAVAILABLE


class UntrustedError(SphereEdgeError):
    """No trusted key has signed the bundle, where one is required."""

    status = Status.UNTRUSTED


def from_status(code: int, message: str, hint: str | None = None) -> SphereEdgeError:
    """The exception for a status `code` reported by the native core, the runner or a server."""
    status = Status(code)
    if status in (Status.OOM_VRAM, Status.OOM_RAM):
        return OutOfMemoryError(message, hint=hint, code=status)
    for kind in SphereEdgeError.__subclasses__():
        if kind.status is status:
            return kind(message, hint=hint)
    return InternalError(message, hint=hint)
