"""Whole numbers in texts of others: ASCII digits, and no more of them than any count of ours has.

Python's `int` takes the digits of every script, and raises ValueError for more than 4,300.
"""

from __future__ import annotations

import re

_DIGITS = re.compile(r"[0-9]{1,18}")


def parse(text: str) -> int | None:
    """The number that `text` is, without sign and blanks; None if it is none."""
    return int(text) if _DIGITS.fullmatch(text) else None
