"""Our compiled 4-bit code beside llama.cpp's Q4_0 on this CPU: same shapes, threads, minutes.

    python benchmarks/cpu_text.py [--rounds 5] [--threads N] [--busy] [--json FILE]

Each round measures both, one after the other, so that whatever else the machine does meets both,
and the Q4_0 file through our runtime, too. Figures are medians over the rounds. `decode_ratio` and
`prefill_ratio` are our compiled code over llama-bench, `gguf_…` the same file through us over it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from random_model import Sizes, write_gguf, write_safetensors

from sphere_edge import console
from sphere_edge.toolchain import cache, native, sources, targets
from sphere_edge.toolchain.project import Project, build_project

_PROMPTS = (128, 512)
_NEW_TOKENS = 64


def main() -> None:
    """Prepares the models, measures round by round, prints the table."""
    options = _options()
    folder = options.work or cache.folder() / "benchmarks"
    model, file = _models(folder)
    runner = native.build(targets.host(), console.progress()).runner
    llama_bench = options.llama_bench or _llama_bench()
    bundle = folder / "bundle.host"
    packaged = _package(model, bundle)

    samples: dict[str, dict[str, list[float]]] = {"ours": {}, "theirs": {}, "gguf": {}}
    facts: dict[str, Any] = {}
    with _busy_core(options.busy):
        for number in range(options.rounds):
            facts = _ours(runner, bundle, options.threads, samples["ours"])
            _theirs(llama_bench, file, options.threads, samples["theirs"])
            _ours(runner, file, options.threads, samples["gguf"])
            console.say(f"round {number + 1} of {options.rounds}: {_line(samples)}")
    first_token = [_first_token_seconds(runner, bundle) for _ in range(options.rounds)]
    report = _report(options, samples, facts, packaged, bundle, first_token)
    _print(report)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--busy", action="store_true", help="another process keeps one core busy")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--llama-bench", type=Path, help="an own build of it; default: built here")
    parser.add_argument("--work", type=Path, help="folder for the models; default: in the cache")
    return parser.parse_args()


def _models(folder: Path) -> tuple[Path, Path]:
    """The random model as safetensors folder and as GGUF, made once."""
    model, file = folder / "qwen2-0.4b-random", folder / "qwen2-0.4b-random.tokens.Q4_0.gguf"
    if not file.exists():
        console.say("making the model of 0.39 billion random weights, once")
        if not (model / "model.safetensors").exists():
            write_safetensors(model, Sizes())
        part = file.with_suffix(".part")
        write_gguf(model, Sizes(), part)
        part.rename(file)
    return model, file


def _llama_bench() -> Path:
    """llama-bench, compiled as the native core is: same sources, compiler and CPU level."""
    project = Project(
        name="llama-bench",
        folder=Path(__file__).parent / "llama_bench",
        folders={"SE_LLAMA_CPP_DIR": sources.fetch("llama_cpp", console.progress())},
        pins={"llama_cpp": sources.SOURCES["llama_cpp"].key},
    )
    folder = build_project(project, targets.host(), console.progress())
    return folder / "bin" / "llama-bench"


def _package(model: Path, bundle: Path) -> dict[str, float]:
    """Packages again and returns seconds and peak resident bytes of the whole process."""
    words = [sys.executable, "-m", "sphere_edge", "package", str(model), "--profile", "host"]
    words += ["--quant", "q4", "--context", "2048", "--output", str(bundle), "--force", "--json"]
    console.say("packaging for host in q4")
    start = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if status:
        raise SystemExit(os.waitstatus_to_exitcode(status))
    return {"seconds": seconds, "peak_rss_bytes": used.ru_maxrss * 1024}


@contextmanager
def _busy_core(wanted: bool) -> Iterator[None]:
    process = multiprocessing.Process(target=_spin, daemon=True)
    if wanted:
        process.start()
    try:
        yield
    finally:
        if wanted:
            process.terminate()


def _spin() -> None:
    while True:
        pass


def _ours(
    runner: Path, bundle: Path, threads: int, samples: dict[str, list[float]]
) -> dict[str, Any]:
    """One round of the native runner, whose report it returns."""
    words = ["bench", bundle, "--prompt-tokens", ",".join(map(str, _PROMPTS)), "--repeat", "3"]
    words += ["--new-tokens", str(_NEW_TOKENS), "--threads", str(threads), "--json"]
    report: dict[str, Any] = _json_of([runner, *words])
    for series in report["series"]:
        if series["unit"] == "tokens/s":
            # The first warms up, as the one that llama-bench makes but does not count.
            name = _name(series["name"], series["tokens"])
            samples.setdefault(name, []).append(median(series["samples"][1:]))
    return report


def _theirs(program: Path, file: Path, threads: int, samples: dict[str, list[float]]) -> None:
    words = ["-m", file, "-p", ",".join(map(str, _PROMPTS)), "-n", _NEW_TOKENS, "-t", threads]
    for test in _json_of([program, *words, "-r", "2", "-o", "json"]):
        kind, tokens = ("prefill", test["n_prompt"]) if test["n_prompt"] else ("decode", 0)
        name = _name(kind, tokens or test["n_gen"])
        samples.setdefault(name, []).append(median(test["samples_ts"]))


def _name(kind: str, tokens: int) -> str:
    return f"{kind} {tokens}"


def _json_of(words: Sequence[object]) -> Any:
    ended = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if ended.returncode:
        message = f"{words[0]} failed: {ended.stderr[-2000:]}{ended.stdout[-2000:]}"
        raise SystemExit(message)
    return json.loads(ended.stdout)


def _first_token_seconds(runner: Path, bundle: Path) -> float:
    """From starting the program to the end of its first token after a prompt of eight."""
    words = [
        "bench",
        bundle,
        "--prompt-tokens",
        "8",
        "--new-tokens",
        "0",
        "--repeat",
        "1",
        "--json",
    ]
    start = time.monotonic()
    _json_of([runner, *words])
    return time.monotonic() - start


def _line(samples: dict[str, dict[str, list[float]]]) -> str:
    """The last sample of each measurement: ours, theirs, their file through us."""
    sides = samples.values()
    return ", ".join(
        f"{name} {' : '.join(f'{side[name][-1]:.1f}' for side in sides)}"
        for name in samples["ours"]
    )


def _report(
    options: argparse.Namespace,
    samples: dict[str, dict[str, list[float]]],
    facts: dict[str, Any],
    packaged: dict[str, float],
    bundle: Path,
    first_token: list[float],
) -> dict[str, Any]:
    speeds = {
        side: {name: median(values) for name, values in measured.items()}
        for side, measured in samples.items()
    }
    memory = json.loads((bundle / "bundle.json").read_text())["memory"]
    return {
        "threads": options.threads,
        "busy": options.busy,
        **_ratios("", speeds["ours"], speeds["theirs"]),
        **_ratios("gguf_", speeds["gguf"], speeds["theirs"]),
        "tokens_per_second": speeds,
        "samples": samples,
        "package": packaged,
        "start_to_first_token_seconds": median(first_token),
        "peak_rss_bytes": facts["peak_rss_bytes"],
        "predicted_peak_bytes": memory["peak_bytes"],
    }


def _ratios(prefix: str, ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    names = {
        "decode_ratio": _name("decode", _NEW_TOKENS),
        "prefill_ratio": _name("prefill", _PROMPTS[0]),
        "prefill_512_ratio": _name("prefill", _PROMPTS[1]),
    }
    return {f"{prefix}{key}": ours[name] / theirs[name] for key, name in names.items()}


def _print(report: dict[str, Any]) -> None:
    ours, theirs, through = report["tokens_per_second"].values()
    rows = [
        (
            *(name, f"{ours[name]:.1f}", f"{theirs[name]:.1f}"),
            *(f"{ours[name] / theirs[name]:.2f}", f"{through[name]:.1f}"),
            f"{through[name] / theirs[name]:.3f}",
        )
        for name in ours
    ]
    columns = (
        "tokens/s",
        "sphere-edge q4",
        "llama-bench Q4_0",
        "ratio",
        "Q4_0 through us",
        "ratio",
    )
    console.write_table(columns, rows)
    package = report["package"]
    peak = console.human_bytes(package["peak_rss_bytes"])
    console.write(f"package: {package['seconds']:.1f} s, peak resident {peak}")
    console.write(f"start to first token: {report['start_to_first_token_seconds']:.2f} s")
    resident = console.human_bytes(report["peak_rss_bytes"])
    predicted = console.human_bytes(report["predicted_peak_bytes"])
    console.write(f"resident at the peak: {resident}, predicted {predicted}")


if __name__ == "__main__":
    main()
