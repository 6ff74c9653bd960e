"""The cases of tests/contract with the C interface alone, by a program that is linked with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sphere_edge import console, resources
from sphere_edge.run import Completed, run
from sphere_edge.toolchain import compilers, sources
from tests import contract_cases, runtimes
from tests.contract_cases import FOLDER

# A handle that was closed is gone in C, and a callback cannot close its own.
UNABLE = {case.name for case in contract_cases.cases() if "close" in case.needs}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = runtimes.here().folder / "lib"
    vendor = sources.fetch("llama_cpp", console.SILENT) / "vendor"
    folder, out = resources.folder("native"), tmp_path_factory.mktemp("contract") / "runner"
    command = [compilers.zig(), "c++", "-std=c++20", "-O1", "-fno-sanitize=all"]
    command += ["-Wall", "-Wextra", "-Werror", f"-I{folder / 'include'}", f"-isystem{vendor}"]
    linked = [f"-L{library}", "-lsphere_edge", f"-Wl,-rpath,{library}", "-o", out]
    run(
        [*command, folder / "tests" / "contract_runner.cpp", *linked],
        timeout_s=900,
        env=compilers.environment(),
    )
    return out


def cases(program: Path, folder: Path, *files: Path, check: bool = True) -> Completed:
    places = folder / "models.json"
    places.write_text(json.dumps(contract_cases.models()))
    return run([program, places, folder, *files], timeout_s=1800, check=check)


def test_c_does_what_every_library_does(program: Path, tmp_path: Path) -> None:
    files = sorted(path for path in FOLDER.glob("*.json") if path.name != "schema.json")
    said = cases(program, tmp_path, *files).stdout
    ran = re.findall(r"^ran: (.*)$", said, flags=re.MULTILINE)
    unable = re.findall(r"^not able: (.*)$", said, flags=re.MULTILINE)
    assert set(unable) == UNABLE
    assert sorted([*ran, *unable]) == sorted(case.name for case in contract_cases.cases())


@pytest.mark.parametrize(
    "change", [{"call": "text.sing"}, {"surprise": 1}, {"expect": {"status": "TIMEOUT"}}]
)
def test_a_step_that_nobody_knows_fails(
    change: dict[str, object], program: Path, tmp_path: Path
) -> None:
    step = {"call": "text.tokenize", "with": {"text": ""}, "expect": {"status": "OK"}, **change}
    case = {"name": "one", "needs": ["text"], "model": "text", "steps": [step]}
    file = tmp_path / "case.json"
    file.write_text(json.dumps({"cases": [case]}))
    done = cases(program, tmp_path, file, check=False)
    assert done.exit_code == 1 and "failed: one" in done.stdout
