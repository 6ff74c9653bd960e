"""Our own threads and those of numpy's BLAS: only the former within `one_blas_thread`."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from sphere_edge.compiler import blas_threads
from sphere_edge.compiler.blas_threads import one_blas_thread


def threads() -> list[int]:
    counts = []
    for path in blas_threads.libraries():
        count = blas_threads.function(ctypes.CDLL(str(path)), "get_num_threads")
        counts += [] if count is None else [count()]
    return counts


def test_products_use_one_thread_within_and_as_many_as_before_after_it() -> None:
    before = threads()
    if not before:
        pytest.skip("numpy's BLAS here is not an OpenBLAS")
    with pytest.raises(RuntimeError), one_blas_thread():
        assert threads() == [1] * len(before)
        product = np.ones((300, 300)) @ np.ones((300, 300))
        assert (product == 300).all()
        message = "threads come back after a failure, too"
        raise RuntimeError(message)
    assert threads() == before
