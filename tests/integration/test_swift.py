"""The Swift package, built and tested by SwiftPM on this machine against its own native core."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from sphere_edge.run import Completed, run
from sphere_edge.toolchain import cache, native
from tests import contract_cases, groups, swift_interface

SWIFT = shutil.which("swift")
IOS = groups.ROOT / "ios"
pytestmark = [
    pytest.mark.group("swift"),
    pytest.mark.skipif(SWIFT is None, reason="needs swift (https://swift.org, 6.0 or newer)"),
]


@pytest.fixture(scope="module")
def package() -> list[str | Path]:
    """The words of swift that name this package, its build folder and the library."""
    library = native.build(native.host(), engines=native.ALL_ENGINES).folder / "lib"
    # SwiftPM's builds are bound to the folder of the package.
    place = hashlib.sha256(str(IOS).encode()).hexdigest()[:12]
    scratch = cache.folder() / "swift" / place
    linked = [f"-L{library}", "-rpath", str(library)]
    flags = [word for flag in linked for word in ("-Xlinker", flag)]
    return ["--package-path", IOS, "--scratch-path", scratch, "--jobs", "1", *flags]


def ran(package: list[str | Path], folder: Path, chosen: str, **more: str) -> Completed:
    """Builds what is not built, and runs the tests whose names match `chosen`."""
    models = contract_cases.models()
    places = folder / "models.json"
    places.write_text(json.dumps(models))
    environment = {
        "SPHERE_EDGE_TEXT": models["text"],
        "SPHERE_EDGE_MODELS": str(places),
        "SPHERE_EDGE_CONTRACT": str(contract_cases.FOLDER),
        **more,
    }
    command = [str(SWIFT), "test", *package, "--filter", chosen]
    return run(command, timeout_s=2400, env=environment)


def test_a_text_model_answers_is_cancelled_and_closed(
    package: list[str | Path], tmp_path: Path
) -> None:
    output = ran(package, tmp_path, "TextTests|ForegroundTests|TypedTests")
    assert re.search(r"Test run with [1-9]\d* tests? .*passed", output.stdout + output.stderr)


def test_swift_does_what_every_library_does(package: list[str | Path], tmp_path: Path) -> None:
    output = ran(package, tmp_path, "ContractTests").stdout
    names = re.findall(r"^contract case ran: (.*)$", output, flags=re.MULTILINE)
    assert sorted(names) == sorted(case.name for case in contract_cases.cases())


def test_cancel_and_close_at_any_moment(package: list[str | Path], tmp_path: Path) -> None:
    output = ran(package, tmp_path, "RaceTests")
    assert re.search(r"Test run with [1-9]\d* tests? .*passed", output.stdout + output.stderr)


def test_the_public_interface_is_the_recorded_one(
    package: list[str | Path], tmp_path: Path
) -> None:
    run([str(SWIFT), "build", *package], timeout_s=2400)
    scratch = Path(package[package.index("--scratch-path") + 1])
    found = swift_interface.listed(scratch / "debug" / "Modules", tmp_path)
    # A change that is meant: write `found` to that file.
    assert found == swift_interface.RECORDED.read_text(encoding="utf-8")


def test_the_package_is_formatted_and_has_no_lint() -> None:
    run(
        [str(SWIFT), "format", "lint", "--strict", "--recursive", IOS / "Sources", IOS / "Tests"],
        timeout_s=300,
    )
