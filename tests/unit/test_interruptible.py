"""Ctrl-C during a long call: cancelled and waited for, or left to end alone; nothing leaks."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from sphere_edge.runtime.interruptible import interruptible


def test_what_the_call_raises_is_raised() -> None:
    def call() -> None:
        message = "no"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no"):
        interruptible(call)


def test_an_interrupt_cancels_the_call_and_waits_for_its_end() -> None:
    cancelled, ended = threading.Event(), threading.Event()

    def call() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        assert cancelled.wait(300)
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        interruptible(call, cancel=cancelled.set)
    assert ended.is_set()


def test_a_call_that_cannot_be_cancelled_ends_alone_and_what_it_made_is_freed() -> None:
    go_on, freed = threading.Event(), threading.Event()

    def call() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        assert go_on.wait(300)

    with pytest.raises(KeyboardInterrupt):
        interruptible(call, dropped=freed.set)
    assert not freed.is_set()
    # Nobody waits for it: not the next call either.
    interruptible(lambda: None)
    go_on.set()
    assert freed.wait(300)


def test_a_child_process_has_a_thread_of_its_own() -> None:
    interruptible(lambda: None)
    child = os.fork()
    if child == 0:
        interruptible(lambda: os._exit(7))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
