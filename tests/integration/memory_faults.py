"""Builds the program that lets the n-th allocation fail; run as a script, prints what comes of it.

`python tests/integration/memory_faults.py [LAST]`: hours on two busy cores for 2,000.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from sphere_edge import packaging, resources
from sphere_edge.engines.options import PackageOptions
from sphere_edge.run import run
from sphere_edge.toolchain import compilers, native
from tests import made_bundles, random_gguf

TEXT_WORKS = ("open", "generate", "schema", "chat", "embed", "tokenize")
MODES = ("once", "all")


def build(folder: Path) -> Path:
    """The program, linked with the library of this machine."""
    library = native.build(native.host()).folder / "lib"
    out = folder / "memory-faults"
    command = [compilers.zig(), "cc", "-std=c11", "-O1", "-fno-sanitize=all", "-Wall", "-Wextra"]
    command += ["-Werror", f"-I{resources.folder('native') / 'include'}", "-o", str(out)]
    source = Path(__file__).with_name("memory_faults_main.c")
    linked = [f"-L{library}", "-lsphere_edge", f"-Wl,-rpath,{library}"]
    run([*command, source, *linked], timeout_s=900, env=compilers.environment())
    return out


def models(folder: Path) -> dict[str, Path]:
    """A model for each engine of texts."""
    tiny = made_bundles.made(packaging.TINY, options=PackageOptions(quantization="q4")).folder
    return {"GGUF": random_gguf.write(folder / "random.gguf"), "bundle": tiny}


def outcomes(program: Path, model: Path, work: str, mode: str, last: int) -> Counter[str]:
    """How often each outcome came, over every allocation up to number `last`."""
    words = [program, model, work, mode, "0", str(last)]
    lines = run(words, timeout_s=3600).stdout.splitlines()
    return Counter(line.partition(" ")[2] for line in lines)


if __name__ == "__main__":
    last = int(sys.argv[1]) if len(sys.argv) > 1 else 1999
    with tempfile.TemporaryDirectory() as name:
        program = build(Path(name))
        for kind, model in models(Path(name)).items():
            for mode in MODES:
                for work in TEXT_WORKS:
                    counts = outcomes(program, model, work, mode, last)
                    print(kind, work, mode, dict(counts.most_common()), flush=True)
