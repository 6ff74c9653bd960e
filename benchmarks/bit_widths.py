"""How fast weights of 3, 4, 6 and 8 bits could be multiplied while decoding: prototype kernels.

    python benchmarks/bit_widths.py [--threads 2]

Once with a matrix that the second-level cache holds, where unpacking decides, and once with one
that no cache holds, where memory does. Needs AVX-512 VNNI. What follows: docs/quality.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from sphere_edge import console, profiles
from sphere_edge.run import run
from sphere_edge.toolchain.compilers import zig

_SOURCE = Path(__file__).parent / "bit_widths" / "bit_widths.c"
# Weights, and how often a round goes over them.
_SIZES = {"in the cache": (1 << 19, 64), "in memory": (1 << 27, 1)}


def main() -> None:
    """Compiles the program and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    if "avx512vnni" not in profiles.host().cpu.features:
        console.say("this machine has no AVX-512 VNNI, which the prototypes are written for")
        return
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        program = Path(scratch) / "bit_widths"
        made = ("cc", "-O3", "-mcpu=native", _SOURCE, "-o", program, "-lpthread")
        run([str(zig()), *map(str, made)], timeout_s=300)
        for size, (weights, passes) in _SIZES.items():
            words = [str(program), str(threads), str(weights), str(passes)]
            for line in run(words, timeout_s=600).stdout.splitlines():
                measured = json.loads(line)
                speed = (
                    f"{measured['gigaweights_per_s']:.1f}",
                    f"{measured['gigabytes_per_s']:.1f}",
                )
                rows.append((size, str(measured["bits"]), *speed))
    console.write_table(("MATRIX", "BITS →", "10^9 WEIGHTS/S →", "GB/S →"), rows)


if __name__ == "__main__":
    main()
