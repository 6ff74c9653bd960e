"""What a server's requests leave behind is given back, also where it only refers to itself."""

from __future__ import annotations

import gc
import weakref

from sphere_edge.server import allocator


class Held:
    """Refers to itself, as an error does whose traceback has the function that keeps it."""

    def __init__(self) -> None:
        self.me = self


def test_what_only_refers_to_itself_is_given_back_with_the_rest() -> None:
    gc.disable()
    try:
        gone = weakref.ref(Held())
        assert gone() is not None
        allocator.give_back()
        assert gone() is None
    finally:
        gc.enable()
