"""What an app is called: names and identifiers, checked before they get into sources."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sphere_edge.errors import InvalidArgumentError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,39}")
_PACKAGE = re.compile(r"[a-z][a-z0-9_]{0,39}(\.[a-z][a-z0-9_]{0,39}){1,7}")
_BUNDLE_ID = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,39}(\.[A-Za-z0-9][A-Za-z0-9-]{0,39}){1,7}")
# The words of Java and Kotlin that cannot be a part of a package's name.
_KEYWORD = re.compile(
    "abstract|as|assert|boolean|break|byte|case|catch|char|class|const|continue|default|do|"
    "double|else|enum|extends|false|final|finally|float|for|fun|goto|if|implements|import|in|"
    "instanceof|int|interface|is|long|native|new|null|object|package|private|protected|"
    "public|return|short|static|strictfp|super|switch|synchronized|this|throw|throws|"
    "transient|true|try|typealias|typeof|val|var|void|volatile|when|while"
)


@dataclass(frozen=True)
class AppNames:
    """`name` is shown below the icon, `identifier` is the one that the store knows."""

    name: str
    identifier: str

    @property
    def module(self) -> str:
        """The name as one word, for targets and files."""
        return re.sub("[^A-Za-z0-9]", "", self.name)


def for_android(name: str, package: str | None) -> AppNames:
    """Raises InvalidArgumentError."""
    checked = _checked(name)
    identifier = package or f"com.example.{_word(checked).lower()}"
    parts = identifier.split(".")
    if not _PACKAGE.fullmatch(identifier) or any(map(_KEYWORD.fullmatch, parts)):
        message = f"`{identifier}` is not the name of an Android package"
        raise InvalidArgumentError(message, hint="such as com.example.chat: --package")
    return AppNames(checked, identifier)


def for_ios(name: str, bundle_id: str | None) -> AppNames:
    """Raises InvalidArgumentError."""
    checked = _checked(name)
    identifier = bundle_id or f"com.example.{_word(checked)}"
    if not _BUNDLE_ID.fullmatch(identifier):
        message = f"`{identifier}` is not a bundle identifier"
        raise InvalidArgumentError(message, hint="such as com.example.Chat: --bundle-id")
    return AppNames(checked, identifier)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name != name.strip():
        message = f"`{name}` is not a name for an app"
        hint = "letters, digits, spaces, `-` and `_`, a letter first, at most 40: --name"
        raise InvalidArgumentError(message, hint=hint)
    return name


def _word(name: str) -> str:
    return re.sub("[^A-Za-z0-9]", "", name)
