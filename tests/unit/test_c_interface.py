"""The C interface only grows: programs that were compiled against an older header keep running."""

from __future__ import annotations

import pytest

from tests import c_interface
from tests.c_interface import Interface


@pytest.fixture(scope="module")
def now() -> Interface:
    return c_interface.read(c_interface.HEADER)


@pytest.fixture(scope="module")
def first() -> Interface:
    return c_interface.read(c_interface.FIRST_HEADER)


def test_the_interface_is_the_one_that_was_written_down(now: Interface) -> None:
    dumped = c_interface.described(now)
    assert dumped == c_interface.DUMP.read_text(), "run: python -m tests.c_interface"


def test_functions_types_and_constants_of_the_first_release_are_still_there(
    now: Interface, first: Interface
) -> None:
    for name, declaration in first.functions.items():
        assert now.functions.get(name) == declaration
    for name, declaration in first.types.items():
        assert now.types.get(name) == declaration
    for name, value in first.constants.items():
        assert now.constants.get(name) == value


def test_structs_of_the_first_release_have_only_grown_at_their_end(
    now: Interface, first: Interface
) -> None:
    for name, fields in first.structs.items():
        # `reserved` bytes may get a name and a use.
        kept = [one for one in fields if "reserved" not in one.declaration]
        assert [one for one in kept if one not in now.structs[name]] == [], name
        may_grow = fields[0].declaration == "size_t size"
        assert may_grow or now.sizes[name] == first.sizes[name], name


def test_every_declaration_of_the_header_is_compared(now: Interface) -> None:
    text = c_interface.HEADER.read_text()
    assert len(now.functions) == text.count("\nSE_API ") > 40
    assert len(now.structs) + len(now.types) == text.count("\ntypedef ")
    assert sum(map(len, now.structs.values())) > 100
    assert now.constants["SE_UNTRUSTED"] == 14
