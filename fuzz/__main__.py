"""Runs targets one after the other, and says how often, how long, and what was found."""

from __future__ import annotations

import argparse
import sys

from fuzz import running
from sphere_edge.toolchain import cache


def main() -> int:
    """1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="targets; all if none is named")
    parser.add_argument("--minutes", type=float, default=1, help="for each target")
    parser.add_argument("--executions", type=int, help="for each target, instead of minutes")
    parser.add_argument("--list", action="store_true", help="the names of all targets")
    given = parser.parse_args()
    if unknown := sorted({*given.names} - {*running.names()}):
        parser.error(f"no target is called `{unknown[0]}`; --list shows them")
    if given.list:
        say("\n".join(running.names()))
        return 0
    limits = running.Limits(seconds=int(given.minutes * 60))
    if given.executions is not None:
        limits = running.Limits(executions=given.executions)
    found = 0
    say("target            executions  CPU s  peak MiB  found")
    for name in given.names or running.names():
        run = running.run(name, limits, cache.folder() / "fuzz")
        found += run.found is not None
        shown = f"{name:16} {run.executions:11,} {run.cpu_s:5.0f} {run.peak_mib:9}  "
        say(shown + str(run.found or "nothing"))
    return int(found > 0)


def say(line: str) -> None:
    """On stdout at once, also into a file."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
