"""The beginning of a server's file: unpacks it once beside itself, then starts the server.

Python cannot load machine code out of a zip, so the packages have to lie in a folder. This is the
`__main__.py` of the file: it runs on the board, with nothing but the board's Python.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

_NAME = "content"


def unpacked(archive: Path) -> Path:
    """The folder with what `archive` holds, made at once and whole; named by its content."""
    with zipfile.ZipFile(archive) as packed:
        folder = archive.parent / f"unpacked-{packed.read(_NAME).decode('ascii')}"
        if folder.is_dir():
            return folder
        work = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=archive.parent))
        try:
            packed.extractall(work)
            # A power cut after the rename must not leave empty files under the final name.
            os.sync()
            work.rename(folder)
        except OSError:
            # Another server that started at the same moment was faster.
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder


def main() -> int:
    """Leaves the packages of the board's system alone: ours come first, and are complete."""
    archive = Path(sys.argv[0]).absolute()
    folder = unpacked(archive)
    sys.path[:1] = [str(folder), str(folder / "packages")]
    # numpy's would start a thread for each core, and reserve memory for each, to no use here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from sphere_edge.server import on_board

    return on_board.main(archive, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
