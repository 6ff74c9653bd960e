"""A small file that the user names: a key, or a list of keys."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sphere_edge.errors import InvalidArgumentError, NotFoundError, StorageError


@contextmanager
def opened(path: Path, what: str, hint: str | None = None) -> Iterator[IO[bytes]]:
    """The file at `path`, open for reading; `what` it is for messages, e.g. `key`.

    Raises NotFoundError, StorageError, also for what fails while it is read, and
    InvalidArgumentError for a folder, a pipe or a device.
    """
    try:
        # Without blocking: a FIFO instead of a file must not hang us.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                message = f"the {what} `{path}` is not a file"
                raise InvalidArgumentError(message, hint=hint)
            yield file
    except FileNotFoundError as error:
        message = f"there is no {what} `{path}`"
        raise NotFoundError(message, hint=hint) from error
    except IsADirectoryError as error:
        message = f"the {what} `{path}` is not a file"
        raise InvalidArgumentError(message, hint=hint) from error
    except OSError as error:
        message = f"the {what} `{path}` cannot be read: {error.strerror}"
        raise StorageError(message) from error
