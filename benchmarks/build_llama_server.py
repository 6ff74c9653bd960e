"""Builds llama.cpp's `llama-server` as the native core is built, and prints where it lies.

    python benchmarks/build_llama_server.py [--link FILE]

The same sources, compiler, CPU level and thread pool as ours, so that servers are compared and not
builds. It is built once and kept in the cache.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from sphere_edge import console
from sphere_edge.toolchain import sources, targets
from sphere_edge.toolchain.project import Project, build_project


def main() -> None:
    """Builds it, or finds it in the cache."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--link", type=Path, help="also make this symbolic link to it")
    options = parser.parse_args()
    program = llama_server()
    if options.link is not None:
        options.link.unlink(missing_ok=True)
        options.link.symlink_to(program)
    console.write(str(program))


def llama_server() -> Path:
    """The program."""
    pinned = sources.SOURCES["llama_cpp"]
    tools = tool_sources()
    project = Project(
        name="llama-server",
        folder=Path(__file__).parent / "llama_server",
        folders={
            "SE_LLAMA_CPP_DIR": sources.fetch("llama_cpp", console.progress()),
            "SE_LLAMA_TOOLS_DIR": sources.fetch_source(tools, console.progress()) / "tools",
        },
        pins={"llama_cpp": pinned.key, "tools": tools.key},
    )
    folder = build_project(project, targets.host(), console.progress())
    return folder / "bin" / "llama-server"


def tool_sources() -> sources.Source:
    """The same archive as the native core's; its server, with the tests of it."""
    pinned = sources.SOURCES["llama_cpp"]
    return replace(pinned, keep=("LICENSE", "tools/mtmd", "tools/server"), leave_out=())


if __name__ == "__main__":
    main()
