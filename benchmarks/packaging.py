"""Measures what packaging a model for this machine costs: CPU seconds, and memory at its peak.

    python benchmarks/packaging.py ./smollm2-135m               # of smollm2_folder.py
    python benchmarks/packaging.py ./smollm2-135m --quant q4    # without measuring the model
    python benchmarks/packaging.py          # Qwen2.5-0.5B's shape, with random weights

The command runs as a user runs it, in a process of its own. CPU time depends little on what else
the machine does; the runtime must be built already, or building it is counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from random_model import Sizes, write_safetensors

_HALF_A_BILLION = Sizes(vocabulary=151_936, context=32_768)


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path, nargs="?", help="a folder; default: random, 0.5 B")
    parser.add_argument("--profile", default="host")
    parser.add_argument("--quant", help="as of the command; default: what packaging chooses")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model is None:
            model = Path(folder) / "random"
            write_safetensors(model, _HALF_A_BILLION)
        tool = [sys.executable, "-m", "sphere_edge", "package", model, "--profile"]
        asked = ["--quant", options.quant] if options.quant else []
        started = time.monotonic()
        more = ["--output", Path(folder) / "made", *asked]
        subprocess.run([*tool, options.profile, *more], check=True)
        manifest = json.loads((Path(folder) / "made" / "bundle.json").read_text(encoding="utf-8"))
        seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Linux counts KiB, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    figures = {
        "model": model.name,
        "quantization": manifest["quantization"],
        "weights_bytes": manifest["memory"]["weights_bytes"],
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "seconds": round(seconds, 1),
        "peak_rss_mib": round(used.ru_maxrss * unit / 2**20),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
