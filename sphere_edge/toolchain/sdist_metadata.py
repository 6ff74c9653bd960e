"""A build backend that answers pip's question for metadata from the archive's own PKG-INFO.

pip has no way to fetch a source archive alone: it asks the package's build backend for metadata
first, which installs that backend and starts a CMake configuration, only to learn what PKG-INFO
already says. `sources.py` puts a copy of this file where pip looks for the backend instead; so no
code of the archive runs. Standard library only: it is run by pip, alone.
"""

from __future__ import annotations

import email
import sys
from pathlib import Path

# The backend of archives that name none is `setuptools.build_meta:__legacy__` (PEP 517).
__legacy__ = sys.modules[__name__]


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: dict[str, str] | None = None
) -> str:
    """PEP 517 hook, called in the unpacked archive: writes `NAME-VERSION.dist-info`, returns it."""
    information = Path("PKG-INFO").read_bytes()
    fields = email.message_from_bytes(information)
    name = f"{fields['Name']}-{fields['Version']}.dist-info"
    folder = Path(metadata_directory) / name
    folder.mkdir()
    (folder / "METADATA").write_bytes(information)
    (folder / "WHEEL").write_text("Wheel-Version: 1.0\n", encoding="utf-8")
    return name
