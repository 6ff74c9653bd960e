"""Compiles what the first answer needs while a command, as pip's, installs the rest.

    python -m sphere_edge.toolchain.early COMMAND …

That command mostly waits for the network and unpacks on one core. Here nothing is needed but the
compilers and a few light packages: `installed-tools` in the Makefile.
"""

from __future__ import annotations

import subprocess
import sys

from sphere_edge import console
from sphere_edge.errors import SphereEdgeError
from sphere_edge.toolchain import archives, targets

# What a compiled model needs of the third-party engines.
PARTS = ("libcxx", "vocab")


def main(command: list[str]) -> int:
    """Runs `command` and compiles meanwhile; returns the exit code of what fails, or 0."""
    # Not by `run`, which keeps what a program says to the end. Ctrl-C reaches both.
    with subprocess.Popen(command) as process:
        try:
            archives.build(PARTS, targets.host(), console.progress())
        except SphereEdgeError as error:
            console.error(error.message, error.hint)
            return process.wait() or error.status
    return process.returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
