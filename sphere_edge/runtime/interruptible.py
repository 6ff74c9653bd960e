"""Long calls of the core that hand nothing over: Ctrl-C is answered while they last.

Python acts on a signal on its main thread and between two lines of Python, so there a call of
seconds would hold Ctrl-C back. It is made on another thread, and the main one waits.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

_STEP_S = 0.02


class _Job:
    def __init__(self, call: Callable[[], object], dropped: Callable[[], object]) -> None:
        self._call = call
        self._dropped = dropped
        self._lock = threading.Lock()
        self._begun = False
        self._abandoned = False
        self.done = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        with self._lock:
            if self._abandoned:
                return
            self._begun = True
        try:
            self._call()
        except BaseException as error:
            # Raised again on the thread that waits.
            self.failure = error
        with self._lock:
            self.done.set()
            abandoned = self._abandoned
        if abandoned and self.failure is None:
            self._dropped()

    def withdraw(self) -> bool:
        """Keeps it from starting; False if it has started already."""
        with self._lock:
            self._abandoned = not self._begun
            return self._abandoned

    def abandon(self) -> bool:
        """Tells it that nobody waits any more; False if it is done already."""
        with self._lock:
            self._abandoned = not self.done.is_set()
            return self._abandoned


# One thread for all such calls: TVM keeps scratch memory for each thread that ever called it.
_jobs: queue.SimpleQueue[_Job] | None = None


def _forget_thread() -> None:
    global _jobs  # noqa: PLW0603  one thread per process, begun at the first call
    _jobs = None


# A child has the queue, but not the thread.
os.register_at_fork(after_in_child=_forget_thread)


def _work(jobs: queue.SimpleQueue[_Job]) -> None:
    while True:
        jobs.get().run()


def _hand_over(job: _Job) -> None:
    global _jobs  # noqa: PLW0603  see above
    if _jobs is None:
        _jobs = queue.SimpleQueue()
        threading.Thread(target=_work, args=(_jobs,), name="sphere-edge-call", daemon=True).start()
    _jobs.put(job)


def interruptible(
    call: Callable[[], object],
    *,
    cancel: Callable[[], object] | None = None,
    dropped: Callable[[], object] = lambda: None,
) -> None:
    """Runs `call`, and raises what it raises.

    Interrupted on the main thread, it is ended by `cancel` and waited for; without `cancel` it goes
    on alone, and `dropped` frees what it made when it ends.
    """
    if threading.current_thread() is not threading.main_thread():
        call()
        return
    job = _Job(call, dropped)
    try:
        _hand_over(job)
        # In steps: a signal that comes while Python goes to sleep does not wake it.
        while not job.done.wait(_STEP_S):
            continue
    except BaseException:
        if job.withdraw():
            pass
        elif cancel is not None:
            # A cancel that comes before the core's call has begun does nothing: repeat it.
            while not job.done.wait(_STEP_S):
                cancel()
        elif job.abandon():
            # The next call must not wait for this one.
            _forget_thread()
        elif job.failure is None:
            dropped()
        raise
    if job.failure is not None:
        raise job.failure
