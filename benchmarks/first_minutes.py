"""Measures a newcomer's first minutes: `make quickstart` in a fresh clone, with empty caches.

    python benchmarks/first_minutes.py                  # clones this checkout's last commit
    python benchmarks/first_minutes.py --stop-after 30  # only whether it starts

Home and caches are empty folders, so everything is downloaded and compiled. CPU seconds are those
of make and of all that it started. Close other programs first: seconds on the clock depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from sphere_edge import profiles

_ROOT = Path(__file__).resolve().parent.parent
# What `quickstart` prints before the first question, and the answer to it.
_ASKS, _ANSWER = "3/6  ask it", "Paris"
# The user's settings of the network and of pip; all others, of caches too, are left out.
_KEPT = ("PATH", "LANG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")


def main() -> None:
    """Prints what `quickstart` prints to stderr, each line with its second, and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stop-after", type=float, default=float("inf"), metavar="SECONDS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder) / "clone", Path(folder) / "home"
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", _ROOT, clone], check=True)
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in _KEPT or (name.startswith("PIP_") and name != "PIP_CACHE_DIR")
        }
        environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
        # Our own environment must not be the one that make finds.
        ours = str(Path(sys.prefix) / "bin")
        paths = environment["PATH"].split(os.pathsep)
        environment["PATH"] = os.pathsep.join(path for path in paths if path != ours)
        print(json.dumps(measured(clone, environment, options.stop_after)))


def measured(clone: Path, environment: dict[str, str], stop_after_s: float) -> dict[str, object]:
    """Seconds and CPU seconds until the first answer and until the end."""
    words = ["make", "quickstart", f"PYTHON={sys._base_executable}"]
    pipe = subprocess.PIPE
    started = time.monotonic()
    quickstart = subprocess.Popen(
        words, cwd=clone, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    found: dict[str, object] = {
        "commit": subprocess.check_output(
            ["git", "-C", clone, "rev-parse", "--short", "HEAD"], text=True
        ).strip(),
        "machine": profiles.host().title,
        "cores": os.cpu_count(),
        "first_answer": None,
    }
    asked = False
    assert quickstart.stdout is not None
    for line in quickstart.stdout:
        seconds = time.monotonic() - started
        print(f"{seconds:7.1f} {line}", end="", file=sys.stderr, flush=True)
        asked = asked or _ASKS in line
        if asked and _ANSWER in line and found["first_answer"] is None:
            found["first_answer"] = figures(seconds, cpu_seconds(quickstart.pid))
        if seconds > stop_after_s:
            os.killpg(quickstart.pid, signal.SIGINT)
            stop_after_s = float("inf")
    _, status, used = os.wait4(quickstart.pid, 0)
    quickstart.returncode = os.waitstatus_to_exitcode(status)
    found["exit_code"] = quickstart.returncode
    found["whole"] = figures(time.monotonic() - started, used.ru_utime + used.ru_stime)
    return found


def figures(seconds: float, cpu_s: float) -> dict[str, float]:
    """Both, rounded."""
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu_s, 1)}


def cpu_seconds(pid: int) -> float:
    """Of a process that runs and of all that it has started, whether they have ended or not."""
    above = psutil.Process(pid)
    times = [one.cpu_times() for one in (above, *above.children(recursive=True))]
    return sum(one.user + one.system + one.children_user + one.children_system for one in times)


if __name__ == "__main__":
    main()
