"""Holds numpy's BLAS to one thread, for code that has threads of its own.

The threads of OpenBLAS spin while they wait for one another: on cores that other programs use, too,
a product took three times the CPU time on two threads that it takes on one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

# Beside the package, where numpy's wheels for Linux and macOS have their libraries.
_FOLDERS = ("../numpy.libs", ".dylibs")
# numpy 2 and numpy 1.26 add these to the names of OpenBLAS.
_NAMES = ("scipy_openblas_{}64_", "openblas_{}64_", "scipy_openblas_{}", "openblas_{}")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within it every matrix product uses one thread, as far as numpy's BLAS is an OpenBLAS."""
    with ExitStack() as restored:
        for path in _libraries():
            library = ctypes.CDLL(str(path))
            threads, choose = (
                _function(library, "get_num_threads"),
                _function(library, "set_num_threads"),
            )
            if threads is not None and choose is not None:
                restored.callback(choose, threads())
                choose(1)
        yield


def _libraries() -> list[Path]:
    package = Path(np.__file__).parent
    return [path for folder in _FOLDERS for path in (package / folder).glob("*openblas*")]


def _function(library: ctypes.CDLL, name: str) -> Callable[..., int] | None:
    for pattern in _NAMES:
        found = getattr(library, pattern.format(name), None)
        if found is not None:
            function: Callable[..., int] = found
            return function
    return None
