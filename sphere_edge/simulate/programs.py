"""The programs of a simulated device: found by their sessions, ended as a restart ends them."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from contextlib import suppress

import psutil


def kill_sessions(leaders: Collection[int]) -> None:
    """Kills every process in the sessions of `leaders`, and what these started."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) in leaders:
                kill_tree(process.pid)


def kill_tree(root: int) -> None:
    """Kills process `root` and all its descendants."""
    with suppress(psutil.Error):
        top = psutil.Process(root)
        for process in [*top.children(recursive=True), top]:
            with suppress(psutil.Error, ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
