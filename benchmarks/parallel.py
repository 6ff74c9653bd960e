"""Tokens per second of 1, 2, 4 and 8 chats at once: compiled q4, a Q4_0 GGUF, and llama.cpp.

    python benchmarks/parallel.py [--rounds 3] [--threads N] [--batched-bench FILE] [--json FILE]

The model of benchmarks/cpu_text.py; llama.cpp is its own llama-batched-bench on the same file. Each
round measures all of them, one after the other. Figures are medians over the rounds, of all chats
together, from prompts of 32 tokens that are computed already; `CPU` is what one token took of it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import cpu_text

from sphere_edge import console
from sphere_edge.runtime.text import TextManager
from sphere_edge.toolchain import cache, sources, targets
from sphere_edge.toolchain.project import Project, build_project

_CHATS = (1, 2, 4, 8)
_PROMPT_TOKENS, _NEW_TOKENS = 32, 64
_CONTEXT = 512
_THEIRS = "llama-batched-bench Q4_0"

# Tokens per second and CPU milliseconds per token of each round, by the number of chats.
Samples = dict[int, list[tuple[float, float]]]


def main() -> None:
    """Prepares the models, measures round by round, prints the table."""
    options = _options()
    model, file = cpu_text._models(cache.folder() / "benchmarks")
    program = options.batched_bench or _batched_bench()
    samples: dict[str, Samples] = {}
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle.host"
        cpu_text._package(model, bundle)
        for number in range(options.rounds):
            for name, path in (("compiled q4", bundle), ("Q4_0 through us", file)):
                _ours(path, options.threads, samples.setdefault(name, {}))
            _theirs([program, "-m", file], options.threads, samples.setdefault(_THEIRS, {}))
            console.say(f"round {number + 1} of {options.rounds}")
    _print(samples)
    if options.json is not None:
        options.json.write_text(json.dumps({"threads": options.threads, **samples}) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--batched-bench", type=Path, help="a build of it; default: built here")
    parser.add_argument("--json", type=Path, help="also write all samples to this file")
    return parser.parse_args()


def _batched_bench() -> Path:
    """llama-batched-bench, compiled as the native core is: same sources, compiler and CPU level."""
    pinned = sources.SOURCES["llama_cpp"]
    tool = replace(pinned, keep=("LICENSE", "tools/batched-bench"), leave_out=())
    project = Project(
        name="llama-batched-bench",
        folder=Path(__file__).parent / "llama_bench",
        folders={
            "SE_LLAMA_CPP_DIR": sources.fetch("llama_cpp", console.progress()),
            "SE_LLAMA_TOOL_DIR": sources.fetch_source(tool, console.progress())
            / "tools"
            / "batched-bench",
        },
        pins={"llama_cpp": pinned.key, "batched-bench": tool.key},
    )
    folder = build_project(project, targets.host(), console.progress())
    return folder / "bin" / "llama-batched-bench"


def _ours(path: Path, threads: int, samples: Samples) -> None:
    """One round through the runtime; each number of chats is opened anew."""
    for chats in _CHATS:
        with TextManager.open(
            path, threads=threads, context_tokens=_CONTEXT, sequences=chats
        ) as text:
            for _ in range(2):
                # The first time computes the prompts and warms up.
                before = _cpu_seconds()
                tokens, seconds = _decoded(text, chats)
                spent = _cpu_seconds() - before
            sample = (tokens / seconds, spent / tokens * 1000)
            samples.setdefault(chats, []).append(sample)


def _decoded(text: TextManager, chats: int) -> tuple[int, float]:
    """How many tokens all chats decoded, and in which time."""
    generations = [
        text.generate(
            [1000 + chat, *range(_PROMPT_TOKENS - 1)],
            sequence_key=f"chat {chat}",
            temperature=0,
            max_tokens=_NEW_TOKENS + 1,
            ignore_end_of_text=True,
        )
        for chat in range(chats)
    ]
    for generation in generations:
        generation.text()
    return chats * _NEW_TOKENS, max(one.result.decode_seconds for one in generations)


def _theirs(command: Sequence[object], threads: int, samples: Samples) -> None:
    """One round of llama-batched-bench, which does not tell its CPU time for each number."""
    words = [*command, "-c", _CONTEXT * max(_CHATS), "-npp", _PROMPT_TOKENS, "-ntg", _NEW_TOKENS]
    words += ["-npl", ",".join(map(str, _CHATS)), "-t", threads, "--output-format", "jsonl"]
    ended = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if ended.returncode:
        message = f"{command[0]} failed: {ended.stderr[-2000:]}"
        raise SystemExit(message)
    for line in ended.stdout.splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            samples.setdefault(row["pl"], []).append((row["speed_tg"], 0.0))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _print(samples: dict[str, Samples]) -> None:
    rows = []
    for name, measured in samples.items():
        alone = median(speed for speed, _ in measured[1])
        for chats in _CHATS:
            speed = median(speed for speed, _ in measured[chats])
            spent = median(spent for _, spent in measured[chats])
            told = f"{spent:.1f} ms" if spent else ""
            rows.append((name, str(chats), f"{speed:.1f}", f"{speed / alone:.2f}", told))
    console.write_table(("", "chats", "tokens/s", "to one chat", "CPU a token"), rows)


if __name__ == "__main__":
    main()
