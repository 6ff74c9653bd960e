"""Groups of expensive tests: left out while nothing that they test has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import groups

TESTS = """
import pytest

def test_cheap(): pass

@pytest.mark.group("musl")
@pytest.mark.parametrize("n", [1, 2])
def test_expensive(n): pass

@pytest.mark.group("musl")
def test_of_nothing(): pytest.skip("by design: nothing to see")

@pytest.mark.group("cuda")
def test_that_cannot_run_here(): pytest.skip("no such compiler")

@pytest.mark.group("opencl")
def test_that_fails(): assert False
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with tests of three groups, and a record that knows no group."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = test_some.py\n")
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "record.json").write_text("{}")
    return tmp_path


def run(suite: Path, *words: str) -> str:
    """What pytest says of the tests of `suite`."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.group_plugin", "-p", "no:cacheprovider"]
    path = {**os.environ, "PYTHONPATH": str(groups.ROOT), "PYTEST_ADDOPTS": ""}
    words = ("--group-record", str(suite / "record.json"), *words)
    ended = subprocess.run([*command, *words], cwd=suite, env=path, capture_output=True, text=True)
    return ended.stdout + ended.stderr


def write_record(suite: Path, *names: str) -> None:
    """A record in which these groups have passed with their inputs as they are."""
    hashes = {name: groups.fingerprint(groups.GROUPS[name].inputs) for name in names}
    (suite / "record.json").write_text(json.dumps({"cuda": "of other files", **hashes}))


def test_a_group_that_no_record_knows_runs(suite: Path) -> None:
    said = run(suite)
    assert "1 failed, 3 passed, 2 skipped" in said
    assert "left out" not in said


def test_without_a_record_and_when_asked_for_all_groups_run(suite: Path) -> None:
    (suite / "record.json").unlink()
    assert "1 failed, 3 passed, 2 skipped" in run(suite)
    write_record(suite, "musl", "opencl")
    assert "1 failed, 3 passed, 2 skipped" in run(suite, "--all-groups")
    assert "2 passed, 1 skipped" in run(suite, "--group", "musl")


@pytest.mark.parametrize("workers", [(), ("--numprocesses", "2")], ids=["alone", "with workers"])
def test_what_has_not_changed_is_left_out_with_words(suite: Path, workers: tuple[str, ...]) -> None:
    write_record(suite, "musl", "opencl")
    said = run(suite, *workers)
    assert "1 passed, 1 skipped" in said
    assert f"    3 tests: {groups.GROUPS['musl'].tests} (make test-musl)" in said
    assert f"    1 tests: {groups.GROUPS['opencl'].tests} (make test-opencl)" in said
    assert "test_some.py" in said.partition("slowest files")[2]


def test_only_groups_of_which_every_test_passed_are_recorded(suite: Path) -> None:
    said = run(suite, "--all-groups", "--record-groups", "--numprocesses", "2")
    assert "musl: 3 tests, 2 passed, 1 skipped by design: recorded" in said
    assert "cuda: 1 tests, 1 skipped: not recorded" in said
    assert "opencl: 1 tests, 1 failed: not recorded" in said
    record = json.loads((suite / "record.json").read_text())
    assert record == {"musl": groups.fingerprint(groups.GROUPS["musl"].inputs)}


def test_a_group_of_which_a_test_ended_its_worker_is_not_recorded(suite: Path) -> None:
    dies = "\n@pytest.mark.group('musl')\ndef test_dies(): import os; os._exit(3)\n"
    (suite / "test_some.py").write_text(TESTS + dies)
    assert "musl: 4 tests, 2 passed, 1 skipped by design: not recorded" in run(
        suite, "--record-groups", "--numprocesses", "2"
    )
    assert (suite / "record.json").read_text() == "{}"


def test_a_part_of_a_group_is_never_recorded(suite: Path) -> None:
    for words in (("-k", "expensive"), ("test_some.py",)):
        assert "needs all tests of a group" in run(suite, "--record-groups", *words)
    assert (suite / "record.json").read_text() == "{}"


def test_the_hash_follows_names_and_contents_of_all_inputs(tmp_path: Path) -> None:
    folder = tmp_path / "code" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("a")
    (tmp_path / "pins.txt").write_text("1")
    inputs = ("code", "pins*")
    seen = [groups.fingerprint(inputs, tmp_path)]
    (folder / "a.py").write_text("b")
    seen.append(groups.fingerprint(inputs, tmp_path))
    (folder / "a.py").rename(folder / "c.py")
    seen.append(groups.fingerprint(inputs, tmp_path))
    (tmp_path / "pins.txt").write_text("2")
    seen.append(groups.fingerprint(inputs, tmp_path))
    assert len(set(seen)) == 4
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "c.pyc").write_text("compiled")
    (tmp_path / "notes.txt").write_text("of no matter")
    assert groups.fingerprint(inputs, tmp_path) == seen[-1]
    with pytest.raises(FileNotFoundError, match="`gone`"):
        groups.fingerprint((*inputs, "gone"), tmp_path)


@pytest.mark.parametrize("name", groups.GROUPS)
def test_the_inputs_of_every_group_are_there(name: str) -> None:
    assert len(groups.fingerprint(groups.GROUPS[name].inputs)) == 64


def test_the_committed_record_names_groups_that_there_are() -> None:
    assert set(groups.recorded(groups.RECORD)) <= set(groups.GROUPS)
