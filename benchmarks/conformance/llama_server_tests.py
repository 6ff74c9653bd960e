"""llama.cpp's tests of its own server, unchanged, run against ours.

    python benchmarks/conformance/llama_server_tests.py [--text FILE] [--embedding FILE] [-k WORDS]

They come from the archive that the native core is built of; llama_server_shim.py stands in for
llama-server. Their models cannot be had here, so a GGUF of random weights talks (or --text) and a
random BERT embeds; llama_server_presets.py lets them say other words. llama_server_left_out.toml
lists what is not expected to pass, each with the reason: the run fails when another test fails, and
when one of them passes, unless it is listed as one that `passes_anyway`. Needs, in the same
environment: pytest openai requests filelock wget numpy aiohttp prometheus-client.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import gguf

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE.parent), str(_HERE.parent.parent)]

from build_llama_server import tool_sources  # noqa: E402  from the folder above

from sphere_edge import console  # noqa: E402
from sphere_edge.toolchain import sources  # noqa: E402
from tests import bert, random_gguf  # noqa: E402

_FILES = ("basic", "security", "chat_completion", "compat_oai_responses", "embedding", "stream")
_FILES += ("completion",)
_COUNTED_WORDS = ("believe", "the", "meaning", "of", "life", "is", "this", "test", "hello", "world")
# And their ids are in its vocabulary.
_COUNTED_WORDS += tuple(f"word{number}" for number in range(40))


def main() -> None:
    """Runs them, compares what failed with the list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--text", type=Path, help="the model that talks; default: a random one")
    parser.add_argument("--embedding", type=Path, help="the model that embeds; default: random")
    parser.add_argument("--junit-xml", type=Path, help="where pytest's own report is written, too")
    parser.add_argument("-k", dest="words", default="", help="only tests of these names, as pytest")
    options = parser.parse_args()
    tests = sources.fetch_source(tool_sources(), console.progress()) / "tools" / "server" / "tests"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        models = {
            "TEXT": options.text or random_gguf.write(work / "random.gguf", only_ascii=True),
            **_embedding_models(options.embedding, work),
        }
        report = (options.junit_xml or work / "report.xml").resolve()
        _run(tests, _shim(work), models, [f"--junit-xml={report}", "-k", options.words])
        outcomes = _outcomes(report)
    sys.exit(_compared(outcomes, is_whole=not options.words))


def _embedding_models(given: Path | None, work: Path) -> dict[str, Path]:
    """One for each `--pooling`, which is a matter of the file with us; without one as BGE has it.

    Random ones hold as many tokens as BGE, and have its words where the tests count them.
    """
    names = {"CLS": "EMBEDDING", "MEAN": "EMBEDDING_MEAN", "LAST": "EMBEDDING_LAST"}
    if given is not None:
        return dict.fromkeys(names.values(), given)
    model = bert.random(positions=512, more_words=_COUNTED_WORDS)
    return {
        name: bert.write(model, work / f"bert-{pooling}.gguf", gguf.PoolingType[pooling])
        for pooling, name in names.items()
    }


def _shim(work: Path) -> Path:
    path = work / "llama-server"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{_HERE / "llama_server_shim.py"}" "$@"\n')
    path.chmod(0o755)
    return path


def _run(tests: Path, shim: Path, models: dict[str, Path], words: list[str]) -> None:
    """The tests' own exit code says nothing: most of what fails is listed."""
    environment = {
        f"LLAMA_SERVER_TESTS_{kind}": str(path.resolve()) for kind, path in models.items()
    }
    environment |= {"LLAMA_SERVER_BIN_PATH": str(shim), "LLAMA_CACHE": str(shim.parent)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    # Some of their presets have models of no kind that we are asked about.
    command += ["-p", "llama_server_presets", "--tb=short"]
    path = os.pathsep.join((str(_HERE), str(_HERE.parent.parent)))
    subprocess.run(
        [*command, *(f"unit/test_{name}.py" for name in _FILES)],
        cwd=tests,
        env={**os.environ, **environment, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )


def _outcomes(report: Path) -> dict[str, bool | None]:
    """Whether each test passed, by `file::name[case]`; None: it was skipped."""
    outcomes: dict[str, bool | None] = {}
    for case in ET.parse(report).iter("testcase"):
        file = case.attrib["classname"].rpartition(".")[2]
        failed = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None
        outcomes[f"{file}::{case.attrib['name']}"] = None if skipped else not failed
    return outcomes


@dataclass
class _LeftOut:
    """An entry of the list. `passes_anyway`: it also takes any refusal for what it waits for."""

    reason: str
    tests: list[str]
    passes_anyway: bool = False
    matched: set[str] = field(default_factory=set)

    def covers(self, test: str) -> bool:
        """Brackets, which are a set of characters to fnmatch, are written as parentheses."""
        plain = test.replace("[", "(").replace("]", ")")
        found = [pattern for pattern in self.tests if fnmatchcase(plain, pattern)]
        self.matched.update(found)
        return bool(found)


def _compared(outcomes: dict[str, bool | None], *, is_whole: bool) -> int:
    listed = tomllib.loads((_HERE / "llama_server_left_out.toml").read_text())["left_out"]
    entries = [_LeftOut(**one) for one in listed]
    counts: Counter[str] = Counter()
    surprising = []
    for name, passed in outcomes.items():
        found = [entry for entry in entries if entry.covers(name)]
        if len(found) > 1:
            surprising.append(f"listed twice: {name}")
        if passed is None and not found:
            counts["skipped by themselves"] += 1
        elif found:
            counts[f"left out: {found[0].reason}"] += 1
            if passed and not found[0].passes_anyway:
                surprising.append(f"passed, and is listed: {name}")
        else:
            counts["passed" if passed else "failed"] += 1
            if not passed:
                surprising.append(f"failed, and is not listed: {name}")
    if is_whole:
        surprising += [
            f"listed, and is no test: {pattern}"
            for entry in entries
            for pattern in entry.tests
            if pattern not in entry.matched
        ]
    for line in surprising:
        console.write(line)
    for outcome, number in counts.most_common():
        console.write(f"{number:4} {outcome}")
    left_out = sum(number for outcome, number in counts.items() if outcome.startswith("left out"))
    console.write(
        f"{counts['passed']} passed, {left_out} left out, {counts['failed']} failed "
        f"of {len(outcomes)}"
    )
    return 1 if surprising else 0


if __name__ == "__main__":
    main()
