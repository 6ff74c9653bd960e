"""Threads for calls of engines, used again and again: each new one would cost memory for good.

TVM keeps scratch memory for every thread that ever called it, and the C library the memory that a
thread's arena holds; a server with a new thread for each request would grow.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

# More than ever work at once; others end with their work.
_MOST_IDLE = 128


class _Worker:
    """A thread and the calls for it."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        # A daemon: whether a process stays alive is up to the program, not to an engine.
        threading.Thread(target=self._work, name="sphere-edge-worker", daemon=True).start()

    def _work(self) -> None:
        while True:
            call = self.calls.get()
            call()
            # What it holds must not live until the next one.
            del call
            with _lock:
                if len(_idle) >= _MOST_IDLE:
                    return
                # The one that worked last works next: its memory is warm, and few are ever used.
                _idle.append(self)


_lock = threading.Lock()
_idle: list[_Worker] = []


def start(call: Callable[[], object]) -> None:
    """Runs `call`, which must not raise, on a thread that has nothing else to do."""
    with _lock:
        worker = _idle.pop() if _idle else None
    (worker or _Worker()).calls.put(call)


def _forget_threads() -> None:
    global _lock  # noqa: PLW0603  a child has the list, but not the threads, nor who held the lock
    _lock = threading.Lock()
    _idle.clear()


os.register_at_fork(after_in_child=_forget_threads)
