"""Where folders are made whose path `ssh` is given."""

from __future__ import annotations

import re
import tempfile

# sun_path has 104 bytes on macOS; ssh appends 17 letters to the socket's name while it makes it.
# Its options cut paths at blanks and replace what follows `%`.
_PLAIN = re.compile(r"[A-Za-z0-9/._+,@-]{1,60}")


def parent() -> str:
    """The usual folder for temporary files if `ssh` takes its path as it is, or /tmp."""
    usual = tempfile.gettempdir()
    return usual if _PLAIN.fullmatch(usual) else "/tmp"
