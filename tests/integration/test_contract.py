"""One contract for all languages: the cases of tests/contract with the Python library."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import contract_runner
import pytest

from tests import contract_cases, runtimes
from tests.contract_cases import Case


@pytest.fixture(scope="module")
def models() -> dict[str, str]:
    # One library with every engine, as an app has it.
    runtimes.here()
    return contract_cases.models()


@pytest.mark.parametrize("case", contract_cases.cases(), ids=lambda case: case.name)
def test_python_does_what_every_library_does(
    case: Case, models: dict[str, str], tmp_path: Path
) -> None:
    assert case.needs <= contract_runner.CAPABILITIES
    contract_runner.Run(models, tmp_path).case(case)


@pytest.mark.parametrize(
    "change",
    [
        {"call": "text.sing"},
        {"surprise": 1},
        {"expect": {"status": "TIMEOUT"}},
        {"expect": {"ids": {"same_as": "nobody"}}},
        {"expect": {"ids": {"is_nearly": 1}}},
    ],
)
def test_a_step_that_nobody_knows_fails(
    change: dict[str, Any], models: dict[str, str], tmp_path: Path
) -> None:
    case = next(
        one for one in contract_cases.cases() if one.name == "tokens become their text again"
    )
    document = copy.deepcopy(case.document)
    document["steps"][0].update(change)
    with pytest.raises((AssertionError, KeyError)):
        contract_runner.Run(models, tmp_path).case(Case(case.name, case.needs, document))
