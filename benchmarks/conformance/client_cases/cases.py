"""Runs what one client is tried with, and prints a line of JSON for each case.

clients.py starts it in the client's own Python, which has no sphere-edge.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

QUESTION = "What colour is the sky?"
KEY = "none"


@dataclass(frozen=True)
class Where:
    """The server at `url`, the names of its models, and a recording in which `said` is said."""

    url: str
    sound: str
    said: str
    text: str = "model"
    embedding: str = "embedding"
    speech: str = "speech"
    image: str = "image"
    edited: str = "edited"


Case = Callable[[Where], object]


def run(package: str, cases: dict[str, Case]) -> None:
    """Tries them at the server that the first argument describes; further arguments name cases."""
    # What a client prints goes to stderr: stdout is ours.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    where = Where(**json.loads(sys.argv[1]))
    version = importlib.metadata.version(package)
    for name in sys.argv[2:] or cases:
        line = {
            "client": package,
            "version": version,
            "case": name,
            "failed": _failure(cases[name], where),
        }
        out.write(json.dumps(line) + "\n")
        out.flush()
    # Some clients leave threads that do not end.
    os._exit(0)


def _failure(case: Case, where: Where) -> str | None:
    try:
        case(where)
    except Exception as error:  # noqa: BLE001  whatever a client raises is told
        return f"{type(error).__name__}: {error}"
    return None
