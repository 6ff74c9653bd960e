"""The Kotlin library on this machine's JVM, under -Xcheck:jni, with the host's native core."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.run import ProgramFailedError
from tests import contract_cases, groups, kotlin_compiler, kotlin_library
from tests.kotlin_library import ANDROID, Library

pytestmark = pytest.mark.group("kotlin")

_SOURCES = ANDROID / "src" / "test" / "kotlin"
TESTS = sorted(
    path.relative_to(_SOURCES).with_suffix("").as_posix().replace("/", ".")
    for path in _SOURCES.rglob("*Test.kt")
)


@pytest.fixture(scope="module")
def library() -> Library:
    try:
        return kotlin_library.built()
    except (errors.NotFoundError, errors.UnavailableError) as error:
        pytest.skip(f"no Kotlin can be compiled here: {error}")


@pytest.mark.parametrize("name", TESTS)
def test_on_the_jvm(library: Library, name: str) -> None:
    try:
        done = library.run(name)
    except ProgramFailedError as error:
        pytest.fail(error.completed.stdout[-6000:] + error.completed.stderr[-2000:])
    ended = re.search(r"OK \((\d+) tests?\)", done.stdout)
    assert ended is not None, done.stdout
    if name.endswith(".ContractTest"):
        cases = contract_cases.cases() + contract_cases.app_cases()
        assert int(ended[1]) == len(cases)
    # What -Xcheck:jni has to say of our calls.
    assert "WARNING in native method" not in done.stdout + done.stderr
    assert "FATAL ERROR in native method" not in done.stdout + done.stderr


def test_files_in_the_manual_are_kotlin_that_the_compiler_takes(
    library: Library, tmp_path: Path
) -> None:
    manual = (groups.ROOT / "docs" / "android.md").read_text(encoding="utf-8")
    files = re.findall(r"^```kotlin\n// (\w+\.kt)\n(.*?)^```", manual, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["TranscriptionService.kt", "AiPacks.kt"]
    for name, content in files:
        (tmp_path / name).write_text(content, encoding="utf-8")
    sources = sorted(tmp_path.glob("*.kt"))
    kotlin_compiler.kotlin().compile(sources, tmp_path / "made", *map(str, library.classes))
