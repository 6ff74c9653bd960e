"""Holds numpy's BLAS to one thread, for code that has threads of its own.

The threads of OpenBLAS spin while they wait for one another: on cores that other programs use, too,
a product took three times the CPU time on two threads that it takes on one.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

# Beside the package, where numpy's wheels for Linux and macOS have their libraries.
_FOLDERS = ("../numpy.libs", ".dylibs")
# numpy 2 and numpy 1.26 add these to the names of OpenBLAS.
_NAMES = ("scipy_openblas_{}64_", "openblas_{}64_", "scipy_openblas_{}", "openblas_{}")
_lock = threading.Lock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within it every matrix product uses one thread, as far as numpy's BLAS is an OpenBLAS.

    For the whole process, so a second one waits for the first.
    """
    with _lock, ExitStack() as restored:
        for path in libraries():
            library = ctypes.CDLL(str(path))
            threads = function(library, "get_num_threads")
            choose = function(library, "set_num_threads")
            if threads is not None and choose is not None:
                restored.callback(choose, threads())
                choose(1)
        yield


def libraries() -> list[Path]:
    """The OpenBLAS that came with numpy, if it did."""
    package = Path(np.__file__).parent
    return [path for folder in _FOLDERS for path in (package / folder).glob("*openblas*")]


def function(library: ctypes.CDLL, name: str) -> Callable[..., int] | None:
    """OpenBLAS's `openblas_NAME`, however this build of it is named."""
    for pattern in _NAMES:
        found = getattr(library, pattern.format(name), None)
        if found is not None:
            callable_found: Callable[..., int] = found
            return callable_found
    return None
