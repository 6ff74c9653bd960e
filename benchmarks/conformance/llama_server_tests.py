"""llama.cpp's tests of its own server, unchanged, run against ours.

    python benchmarks/conformance/llama_server_tests.py [--text FILE] [--embedding FILE] [-k WORDS]

They come from the archive that the native core is built of; llama_server_shim.py stands in for
llama-server. Their models cannot be had here, so a GGUF of random weights talks (or --text) and a
random BERT embeds. llama_server_left_out.toml lists what is not expected to pass, each with the
reason: the run fails when another test fails, and when one of them passes. Needs, in the same
environment: pytest openai requests filelock wget numpy aiohttp prometheus-client.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from fnmatch import fnmatchcase
from pathlib import Path

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


def main() -> None:
    """Runs them, compares what failed with the list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--text", type=Path, help="the model that talks; default: a random one")
    parser.add_argument("--embedding", type=Path, help="the model that embeds; default: random")
    parser.add_argument("-k", dest="words", default="", help="only tests of these names, as pytest")
    options = parser.parse_args()
    tests = sources.fetch_source(tool_sources(), console.progress()) / "tools" / "server" / "tests"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        text = options.text or random_gguf.write(work / "random.gguf")
        embedding = options.embedding or bert.write(bert.random(), work / "bert.gguf")
        models = {"TEXT": str(text.resolve()), "EMBEDDING": str(embedding.resolve())}
        report = work / "report.xml"
        _run(tests, _shim(work), models, [f"--junit-xml={report}", "-k", options.words])
        outcomes = _outcomes(report)
    sys.exit(_compared(outcomes, is_whole=not options.words))


def _shim(work: Path) -> Path:
    path = work / "llama-server"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{_HERE / "llama_server_shim.py"}" "$@"\n')
    path.chmod(0o755)
    return path


def _run(tests: Path, shim: Path, models: dict[str, str], words: list[str]) -> None:
    """The tests' own exit code says nothing: most of what fails is listed."""
    environment = {f"LLAMA_SERVER_TESTS_{kind}": path for kind, path in models.items()}
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


def _compared(outcomes: dict[str, bool | None], *, is_whole: bool) -> int:
    listed = tomllib.loads((_HERE / "llama_server_left_out.toml").read_text())["left_out"]
    patterns = {pattern: one["reason"] for one in listed for pattern in one["tests"]}
    matched: dict[str, list[str]] = {pattern: [] for pattern in patterns}
    surprising = []
    for name, passed in outcomes.items():
        # Brackets are a set of characters to fnmatch.
        plain = name.replace("[", "(").replace("]", ")")
        found = [pattern for pattern in patterns if fnmatchcase(plain, pattern)]
        for pattern in found:
            matched[pattern].append(name)
        if passed is False and not found:
            surprising.append(f"failed, and is not listed: {name}")
        if passed and found:
            surprising.append(f"passed, and is listed: {name}")
    if is_whole:
        surprising += [
            f"listed, and is no test: {one}" for one, names in matched.items() if not names
        ]
    passed = sum(one is True for one in outcomes.values())
    left_out = sum(map(len, matched.values()))
    skipped = sum(one is None for one in outcomes.values())
    for line in surprising:
        console.write(line)
    console.write(f"{passed} passed, {left_out} left out, {skipped} skipped of {len(outcomes)}")
    return 1 if surprising else 0


if __name__ == "__main__":
    main()
