"""Which Python of a board a server runs with, and what a user is told where there is none."""

from __future__ import annotations

import pytest

from sphere_edge.boards import python_there
from sphere_edge.boards.python_there import Python
from sphere_edge.errors import UnsupportedError

URI = "ssh://me@orin"


def answer(path: str, version: str, **other: str) -> str:
    words = {
        "version": version,
        "kind": "cpython aarch64 64",
        "threads": "usual",
        "libc": "glibc 2.35",
        **other,
        "done": "",
    }
    return f"== {path}\n" + "".join(f"{key} {value}\n" for key, value in words.items() if key)


def refused(text: str) -> str:
    with pytest.raises(UnsupportedError) as found:
        python_there.parse(text + "== end\n", URI)
    assert found.value.hint is not None
    assert "uv python install" in found.value.hint
    return found.value.message


def test_the_distributions_own_is_used_if_it_is_new_enough() -> None:
    text = answer("/usr/bin/python3", "3 10 12") + answer("/usr/bin/python3.12", "3 12 1")
    found = python_there.parse(text, URI)
    assert found == Python("/usr/bin/python3", (3, 10), "aarch64", 35)
    assert found.tag == "cp310"


def test_another_one_is_used_where_that_is_too_old() -> None:
    text = answer("/usr/bin/python3", "3 8 10") + answer("/home/me/.local/bin/python3.12", "3 12 1")
    assert python_there.parse(text, URI).path == "/home/me/.local/bin/python3.12"


def test_a_board_without_python_is_told_what_would_help() -> None:
    # A shim of pyenv is found and answers nothing.
    for text in ("", "== /usr/local/bin/python3\n"):
        assert refused(text) == f"{URI} has no Python, which a server there needs"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"version": "3 8 10"}, "it needs 3.10 or newer"),
        ({"version": "3 99 0"}, "its packages are known up to Python 3.14"),
        ({"kind": "pypy aarch64 64"}, "it is not CPython"),
        ({"kind": "cpython aarch64 32"}, "it is a 32-bit program"),
        ({"kind": "cpython riscv64 64"}, "its packages are for 64-bit ARM and x86"),
        ({"threads": "free"}, "it is a free-threaded build"),
        ({"libc": "other"}, "its C library is not glibc"),
        ({"libc": "glibc 2.27"}, "its glibc is older than 2.28"),
        ({"lacks": "sqlite3"}, "it lacks its own modules sqlite3"),
    ],
)
def test_a_python_that_is_of_no_use_is_refused_with_the_reason(
    other: dict[str, str], why: str
) -> None:
    version = other.pop("version", "3 10 12")
    message = refused(answer("/usr/bin/python3", version, **other))
    assert "(`/usr/bin/python3`)" in message
    assert message.endswith(why)


def test_the_newest_of_those_that_are_too_old_is_named() -> None:
    text = answer("/usr/bin/python3", "3 6 9") + answer("/usr/bin/python3.9", "3 9 5")
    assert "Python 3.9.5 (`/usr/bin/python3.9`)" in refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "== /usr/bin/python3\nversion 3 10\ndone\n",
        "== /usr/bin/python3\nversion 3 10 -1\ndone\n",
        "== /usr/bin/python3\nversion ٣ 10 1\ndone\n",
        "== python3\nversion 3 10 12\ndone\n",
        "== /usr/bin/\x1b[31mpython3\nversion 3 10 12\ndone\n",
        "== /" + "x" * 2000 + "\nversion 3 10 12\ndone\n",
        "\0" * 100,
    ],
)
def test_an_answer_that_makes_no_sense_is_no_python(text: str) -> None:
    assert refused(text) == f"{URI} has no Python, which a server there needs"
