"""The Kotlin library on this machine's JVM, under -Xcheck:jni, with the host's native core."""

from __future__ import annotations

import re

import pytest

from sphere_edge import errors
from sphere_edge.run import ProgramFailedError
from tests import contract_cases, kotlin_library
from tests.kotlin_library import ANDROID, Library

pytestmark = pytest.mark.group("kotlin")

TESTS = sorted(path.stem for path in (ANDROID / "src" / "test" / "kotlin").rglob("*Test.kt"))


@pytest.fixture(scope="module")
def library() -> Library:
    try:
        return kotlin_library.built()
    except (errors.NotFoundError, errors.UnavailableError) as error:
        pytest.skip(f"no Kotlin can be compiled here: {error}")


@pytest.mark.parametrize("name", TESTS)
def test_on_the_jvm(library: Library, name: str) -> None:
    try:
        done = library.run(f"dev.sphereedge.{name}")
    except ProgramFailedError as error:
        pytest.fail(error.completed.stdout[-6000:] + error.completed.stderr[-2000:])
    ended = re.search(r"OK \((\d+) tests?\)", done.stdout)
    assert ended is not None, done.stdout
    if name == "ContractTest":
        assert int(ended[1]) == len(contract_cases.cases())
    # What -Xcheck:jni has to say of our calls.
    assert "WARNING in native method" not in done.stdout + done.stderr
    assert "FATAL ERROR in native method" not in done.stdout + done.stderr
