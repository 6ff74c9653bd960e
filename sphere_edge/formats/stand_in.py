"""What downloads leave in place of a file: a web page, an error message, a Git LFS pointer."""

from __future__ import annotations

_LFS = b"version https://git-lfs.github.com/"
_PAGE = (b"<!doctype", b"<html", b"<?xml")
# Enough of either to be no accident.
_LEAST_BYTES = 5


def named(head: bytes) -> str | None:
    """What a file that begins with `head` is instead of weights; None: nothing that is known."""
    if not head:
        return "it is empty"
    begin = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if _is_start(begin, *_PAGE):
        return "it is a web page, as a download without a login leaves it"
    if _is_start(begin, _LFS):
        return "it is a Git LFS pointer: `git lfs pull` fetches the file itself"
    return None


def _is_start(begin: bytes, *known: bytes) -> bool:
    """Whether `begin`, which may be short or long, is the start of one of `known`."""
    size = len(begin)
    return size >= _LEAST_BYTES and any(begin[: len(one)] == one[:size] for one in known)
