"""Whole numbers that others wrote."""

from __future__ import annotations

import pytest

from sphere_edge import whole_number


def test_digits_are_a_number() -> None:
    assert whole_number.parse("0") == 0
    assert whole_number.parse("0042") == 42
    assert whole_number.parse("9" * 18) == 10**18 - 1


@pytest.mark.parametrize("text", ["", " 1", "+1", "-1", "1.0", "1_0", "1\n", "٣", "²", "9" * 5000])
def test_other_texts_are_none(text: str) -> None:
    assert whole_number.parse(text) is None
