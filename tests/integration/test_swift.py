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
from tests import (
    bundle_server,
    contract_cases,
    golden_bundle,
    groups,
    image_calls,
    random_diffusion,
    random_mmproj,
    swift_interface,
)

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


def test_images_are_read_and_changed_and_drafts_change_no_text(
    package: list[str | Path], tmp_path: Path
) -> None:
    mmproj = random_mmproj.write(tmp_path / "mmproj.gguf")
    checkpoint = random_diffusion.write(tmp_path / "reader.safetensors", with_encoder=True)
    reader = image_calls.packaged(checkpoint, tmp_path / "reader.host", "q8_0")
    models = tmp_path / "more-models.json"
    named = {"mmproj": str(mmproj), "reader": str(reader)}
    models.write_text(json.dumps({**contract_cases.models(), **named}))
    output = ran(package, tmp_path, "ImagesTests", SPHERE_EDGE_MODELS=str(models))
    assert re.search(r"Test run with [1-9]\d* tests? .*passed", output.stdout + output.stderr)


def test_bundles_are_installed_from_a_folder_and_a_web_server(
    package: list[str | Path], tmp_path: Path
) -> None:
    with bundle_server.serving(golden_bundle.GOLDEN) as (address, requests):
        more = {"SPHERE_EDGE_SERVER": address, "SPHERE_EDGE_GOLDEN": str(golden_bundle.GOLDEN)}
        output = ran(package, tmp_path, "BundleStoreTests", **more)
    assert re.search(r"Test run with [1-9]\d* tests? .*passed", output.stdout + output.stderr)
    # The part in which it was cut off is asked for again, and no other.
    weights = [one.split("=")[1] for one in requests if one.startswith("/cut/weights/")]
    parts = [f"{begin}-{min(begin + 99, 1023)}" for begin in range(0, 1024, 100)]
    assert weights == [*parts[:4], *parts[3:]]


def test_swift_does_what_every_library_does(package: list[str | Path], tmp_path: Path) -> None:
    assert contract_run(package, tmp_path, contract_cases.FOLDER) == {
        case.name for case in contract_cases.cases()
    }


def test_swift_does_what_the_libraries_of_apps_do(
    package: list[str | Path], tmp_path: Path
) -> None:
    assert contract_run(package, tmp_path, contract_cases.APPS) == {
        case.name for case in contract_cases.app_cases()
    }


def contract_run(package: list[str | Path], folder: Path, cases: Path) -> set[str]:
    """The names of the cases that ran."""
    output = ran(package, folder, "ContractTests", SPHERE_EDGE_CONTRACT=str(cases)).stdout
    return set(re.findall(r"^contract case ran: (.*)$", output, flags=re.MULTILINE))


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
