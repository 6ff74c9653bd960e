"""Runs a Python target under atheris: python -m fuzz.under_atheris NAME LIMIT_S [OPTIONS].

LIMIT_S is what one input may take of CPU time, 0: any; OPTIONS are libFuzzer's.
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from functools import partial

import atheris

from fuzz import outcome


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    name, limit_s = sys.argv[1], float(sys.argv[2])
    # Readers log what they pass over; a million such lines are of no use.
    logging.disable()
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["sphere_edge", "fuzz.readers"]):
        reader = importlib.import_module(f"fuzz.readers.{name}")
    atheris.Setup(
        [f"fuzz {name}", *sys.argv[3:]],
        partial(outcome.check, reader.read, limit_s=limit_s or None),
        internal_libfuzzer=True,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
