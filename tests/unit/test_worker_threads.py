"""Threads for calls of engines are used again, and keep nothing of what they did."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from sphere_edge.runtime import worker_threads
from sphere_edge.runtime.engine_task import EngineTask


def run_on_one(call: Callable[[], object]) -> None:
    done = threading.Event()

    def work() -> None:
        call()
        done.set()

    worker_threads.start(work)
    assert done.wait(20)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_calls_one_after_the_other_use_few_threads() -> None:
    used: set[int] = set()
    for _ in range(50):
        task = EngineTask[int, int](lambda: None)
        task.start(lambda task: used.add(threading.get_ident()))
        while task.items.get(timeout=20) is not None:
            continue
        task.join()
        assert not task.is_running
    # The next may come before the one before has gone to sleep.
    assert len(used) <= 3


def test_calls_at_once_have_a_thread_each() -> None:
    meeting = threading.Barrier(8)
    used: set[int] = set()

    def meet() -> None:
        meeting.wait(20)
        used.add(threading.get_ident())

    for _ in range(7):
        worker_threads.start(meet)
    meet()
    until(lambda: len(used) == 8)


def test_an_idle_thread_holds_nothing_of_its_last_call() -> None:
    class Held:
        """What a call holds."""

        def work(self) -> None:
            """Nothing."""

    held = Held()
    gone = weakref.ref(held)
    run_on_one(held.work)
    del held
    until(lambda: gone() is None)


def test_a_child_process_has_threads_of_its_own() -> None:
    run_on_one(lambda: None)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        run_on_one(lambda: os.write(writing, b"x"))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"x"
    assert os.waitpid(child, 0)[1] == 0


def test_a_task_whose_thread_cannot_be_started_is_not_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(worker_threads, "_idle", [])
    monkeypatch.setattr(threading.Thread, "start", refuse)
    task = EngineTask[int, int](lambda: None)
    with pytest.raises(RuntimeError, match="new thread"):
        task.start(lambda task: None)
    assert not task.is_running
    task.stop()


_FORKS = """
import os, signal, sys, threading, time
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.runtime.output_stream import OutputStream

ended, begun = threading.Event(), threading.Event()

def call(task):
    begun.set()
    ended.wait(60)

stream = OutputStream(call, ended.set)
begun.wait()
child = os.fork()
if child == 0:
    assert not stream.is_running
    try:
        next(stream)
    except InvalidArgumentError as error:
        assert "forked" in error.message
        sys.exit(7)
assert stream.is_running
end = time.monotonic() + 20
while (found := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
    time.sleep(0.01)
if found[0] == 0:
    os.kill(child, signal.SIGKILL)
assert found[1] == 7 << 8 and found[0] == child
stream.close()
"""


def test_a_child_process_ends_where_its_parent_generates() -> None:
    subprocess.run([sys.executable, "-c", _FORKS], check=True, timeout=60)
