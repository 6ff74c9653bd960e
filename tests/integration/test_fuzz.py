"""A short run of every target of coverage-guided fuzzing: executions are counted, never time."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from fuzz import core_build, running
from sphere_edge import errors

pytestmark = pytest.mark.group("fuzz")

EXECUTIONS = 2_000


def check(name: str, folder: Path) -> None:
    """Fails with the input that brought the reader down."""
    run = running.run(name, running.Limits(executions=EXECUTIONS), folder)
    assert run.found is None, (folder / f"{name}.log").read_text()
    assert run.executions >= EXECUTIONS


@pytest.mark.parametrize("name", running.python_names())
def test_no_input_surprises_a_reader_of_the_package(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris has no wheel for this Python or machine")
    check(name, tmp_path)


@pytest.mark.parametrize("name", core_build.names())
def test_no_input_brings_a_reader_of_the_core_down(name: str, tmp_path: Path) -> None:
    try:
        core_build.build()
    except errors.NotFoundError as error:
        pytest.skip(f"{error.message}: {error.hint}")
    check(name, tmp_path)
