"""Compiles what the first answer needs while pip installs the rest.

    python -m sphere_edge.toolchain.early TOOLS REST

Two shell commands: the one installs the compilers, while the sources are fetched; the other one
everything else, while they compile. pip mostly waits for the network and unpacks on one core. Here
nothing is needed but a few light packages: `installed-light` in the Makefile.
"""

from __future__ import annotations

import subprocess
import sys

from sphere_edge import console
from sphere_edge.errors import SphereEdgeError
from sphere_edge.toolchain import archives, native, sources, targets


def main(install_tools: str, install_rest: str) -> int:
    """Runs both commands and compiles; returns the exit code of what fails, or 0."""
    parts = native.parts(targets.host(), native.STARTER)
    progress = console.progress()
    try:
        # Not by `run`, which keeps what a program says to the end. Ctrl-C reaches both.
        with subprocess.Popen(install_tools, shell=True) as tools:
            for name in native.sources_of(parts):
                sources.fetch(name, progress)
        if tools.returncode:
            return tools.returncode
    except SphereEdgeError as error:
        console.error(error.message, error.hint)
        return tools.returncode or error.status
    with subprocess.Popen(install_rest, shell=True) as rest:
        try:
            archives.build(parts, targets.host(), progress)
        except SphereEdgeError as error:
            console.error(error.message, error.hint)
            return rest.wait() or error.status
    return rest.returncode


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
