"""A kernel that is ended in its midst leaves no memory behind."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from sphere_edge.runtime import binding
from sphere_edge.runtime.binding import C
from sphere_edge.runtime.text import TextManager
from tests import made_bundles

PROMPT = "The sky is blue and the grass is green. " * 8
CALLS = 100


class Mallinfo(ctypes.Structure):
    """glibc's struct mallinfo2: https://man7.org/linux/man-pages/man3/mallinfo.3.html."""

    # arena, ordblks, smblks, hblks; hblkhd; usmblks, fsmblks; uordblks; fordblks, keepcost
    _fields_ = [
        ("first", ctypes.c_size_t * 4),
        ("used_in_mappings", ctypes.c_size_t),
        ("unused", ctypes.c_size_t * 2),
        ("used_in_arenas", ctypes.c_size_t),
        ("last", ctypes.c_size_t * 2),
    ]


def used_bytes() -> int:
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Mallinfo
    found = mallinfo()
    return int(found.used_in_mappings + found.used_in_arenas)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="another C library")
def test_calls_that_end_at_any_kernel_keep_no_memory() -> None:
    with TextManager.open(made_bundles.made("tiny").folder, threads=1) as text:
        left = 0

        # Called after each kernel; the next one begins, takes scratch memory, and is ended then.
        @binding.TraceFunction
        def cancel_later(*_: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                text.cancel()

        text._handle.call(C.se_text_set_trace, cancel_later, None)
        text.generate(PROMPT, max_tokens=1).text()
        kernels, left = -left, 0

        def cancelled(calls: int) -> int:
            """How many of them were ended, each at another kernel."""
            nonlocal left
            ended = 0
            for number in range(calls):
                text.reset()
                left = 1 + number % kernels
                output = text.generate(PROMPT, max_tokens=1)
                output.text()
                ended += output.result.finish_reason == "cancelled"
            return ended

        cancelled(kernels)
        before = used_bytes()
        assert cancelled(CALLS) > CALLS / 2
        # Each of them would leave a page at least.
        assert used_bytes() - before < CALLS * 1024
