"""A function of the C API as ctypes declares it: its name, what it takes and what it returns."""

from __future__ import annotations

from ctypes import c_int32
from typing import Any


class CFunction:
    """Declared as a class attribute, whose name is the C function's."""

    def __init__(self, *arguments: Any, returns: Any) -> None:
        self.name = ""
        self.arguments = arguments
        self.returns = returns

    def __set_name__(self, _: type, name: str) -> None:
        self.name = name


class Checked(CFunction):
    """A function that can fail: it returns an se_status."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, returns=c_int32)


class Plain(CFunction):
    """A function that cannot fail."""

    def __init__(self, *arguments: Any, returns: Any = None) -> None:
        super().__init__(*arguments, returns=returns)
