"""Runs a Python target under atheris: python -m fuzz.under_atheris NAME [libFuzzer's options].

SE_FUZZ_LIMIT_S is what one input may take of CPU time; 0: any.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from functools import partial

import atheris

from fuzz import outcome


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    name = sys.argv[1]
    limit_s = float(os.environ.get("SE_FUZZ_LIMIT_S", "0"))
    # Readers log what they pass over; a million such lines are of no use.
    logging.disable()
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["sphere_edge", "fuzz.readers"]):
        reader = importlib.import_module(f"fuzz.readers.{name}")
    atheris.Setup(
        [f"fuzz {name}", *sys.argv[2:]],
        partial(outcome.check, reader.read, limit_s=limit_s or None),
        internal_libfuzzer=True,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
