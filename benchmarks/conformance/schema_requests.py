"""schemathesis against our own OpenAPI description: requests that follow it and that do not.

    pip install schemathesis
    python benchmarks/conformance/schema_requests.py [--requests 20000] [--seconds 3600]

The built-in models and a GGUF of random weights are served, with the store and every extension on.
Runs of schemathesis, each with another seed, go on until the server has answered so many requests;
where there is no time for all of them at once, go on with the next `--first-seed`.
Anything that it finds ends this with an error; what it does not judge is listed below with the
reason.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent.parent))

from served import Served, program, serving  # noqa: E402  from this folder

from sphere_edge import console  # noqa: E402
from tests import random_gguf  # noqa: E402

_NOT_JUDGED = {
    "positive_data_acceptance": "a body that follows the schema may name a model that is not here",
    "unsupported_method": "OPTIONS and HEAD are answered where the description has none",
    "ignored_auth": "no key is asked for on loopback",
}


def main() -> None:
    """Runs until there were enough requests, or something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--first-seed", type=int, default=1)
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder, serving(_words(Path(folder))) as served:
        seed = options.first_seed
        while (done := _answered(served)) < options.requests and time.monotonic() < end:
            _run(served, seed)
            console.say(f"{_answered(served)} requests answered with the seeds up to {seed}")
            seed += 1
        console.write(f"{done} requests in {seed - options.first_seed} runs, nothing found")
    sys.exit(done < options.requests)


def _words(folder: Path) -> list[str]:
    random = random_gguf.write(folder / "random.gguf")
    words = ["tiny", "tiny-whisper", "tiny-image", str(random), "--allow-extensions"]
    # What is asked is how requests are read, not what a random model says at length.
    words += ["--context", "256", "--threads", "1", "--timeout", "20"]
    return [*words, "--store", str(folder / "responses.sqlite")]


def _answered(served: Served) -> int:
    figures = served.read("/metrics").decode()
    counts = re.findall(r"^sphere_edge_requests_total{.*} (\S+)$", figures, re.MULTILINE)
    return int(sum(map(float, counts)))


def _run(served: Served, seed: int) -> None:
    command = [program("schemathesis"), "run", f"{served.url}/openapi.json"]
    command += ["--seed", str(seed), "--workers", "4"]
    command += ["--checks", "all", "--exclude-checks", ",".join(_NOT_JUDGED)]
    command += ["--max-examples", "100", "--suppress-health-check", "all"]
    # Ten images take as long as the machine needs; what hangs is found all the same.
    command += ["--request-timeout", "120", "--max-response-time", "120"]
    ended = subprocess.run(command, check=False)
    assert served.process.poll() is None, "the server has ended"
    if ended.returncode:
        sys.exit(f"schemathesis found something with seed {seed}")


if __name__ == "__main__":
    main()
