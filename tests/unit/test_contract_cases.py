"""The cases of tests/contract are what their schema says, and runners stay small."""

from __future__ import annotations

import json

import pytest

from tests import contract_cases
from tests.groups import ROOT

RUNNERS = (
    "tests/integration/contract_runner.py",
    "android/sphere-edge/src/test/kotlin/dev/sphereedge/ContractRunner.kt",
)


def test_every_file_follows_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads((contract_cases.FOLDER / "schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    for path in contract_cases.FOLDER.rglob("*.json"):
        if path.name != "schema.json":
            assert not list(validator.iter_errors(json.loads(path.read_text()))), path.name


def test_names_are_unique_and_steps_refer_to_earlier_ones() -> None:
    cases = contract_cases.cases() + contract_cases.app_cases()
    names = [case.name for case in cases]
    assert len(names) == len(set(names)) > 20
    for case in cases:
        seen: set[str] = set()
        for step in case.document["steps"]:
            wanted = [one for one in step["expect"].values() if isinstance(one, dict)]
            others = {
                one[key] for one in wanted for key in ("same_as", "differs_from") if key in one
            }
            assert others <= seen, case.name
            seen.add(step.get("id", ""))


def test_runners_have_at_most_200_lines() -> None:
    for runner in RUNNERS:
        if (ROOT / runner).is_file():
            assert len((ROOT / runner).read_text().splitlines()) <= 200, runner
