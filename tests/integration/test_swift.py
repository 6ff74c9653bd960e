"""The Swift package, built and tested by SwiftPM on this machine against its own native core."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from sphere_edge.run import Completed, ProgramFailedError, run
from sphere_edge.toolchain import cache
from tests import (
    bundle_server,
    contract_cases,
    golden_bundle,
    groups,
    image_calls,
    random_diffusion,
    random_gguf,
    random_mmproj,
    runtimes,
    swift_interface,
    swift_session,
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
    library = runtimes.here().folder / "lib"
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


def test_sessions_of_foundation_models_are_answered(
    package: list[str | Path], tmp_path: Path
) -> None:
    run([str(SWIFT), "build", *package, "--target", "SphereEdge"], timeout_s=2400)
    built = Path(package[package.index("--scratch-path") + 1]) / "debug"
    library = Path(str(package[-1]))
    session = swift_session.built(built, library, tmp_path)
    template = swift_session.REASONING.read_text()
    thinker = random_gguf.write(tmp_path / "thinker.gguf", chat_template=template, only_ascii=True)
    caller = random_gguf.write(
        tmp_path / "caller.gguf",
        chat_template=template,
        only_ascii=True,
        begins_lines="<tool_call>\n",
    )
    done = run([session, contract_cases.text_model(), thinker, caller], timeout_s=600)
    told = {one["scenario"]: one for one in map(json.loads, done.stdout.splitlines())}

    text = told["text"]
    assert text["texts"] == {"response": "The sky is blue."}
    assert (text["entries"], text["usage"][0] > 10, text["usage"][2:]) == (1, True, [5, 0])
    assert told["cut off"]["metadata"] == ["incompleteOutput"]
    # In the order of its schema, which is not that of the alphabet.
    assert list(json.loads(told["type"]["texts"]["response"])) == ["sure", "name"]

    tools = told["tools"]
    calls = [call for call in tools["texts"] if call != f"call weather {tools.get('removed')}"]
    assert calls and all(call.startswith("call weather ") for call in calls)
    assert all(json.loads(tools["texts"][call]) == {"city": "Paris"} for call in calls)
    assert tools["usage of"] == "toolCalls"
    assert set(told["answer after tools"]["texts"]) == {"response"}
    cut = told["tool call cut off"]
    assert cut["metadata"] == ["incompleteOutput"] and "removed" in cut

    called = told["type or tools: calls"]
    assert any(text.startswith("call weather ") for text in called["texts"])
    assert "response" not in called["texts"] and called["usage of"] == "toolCalls"
    for name in ("answers", "reasons", "built in"):
        typed = told[f"type or tools: {name}"]
        assert list(json.loads(typed["texts"]["response"])) == ["sure", "name"]
        assert set(typed["texts"]) == {"response", *(["reasoning"] if name == "reasons" else [])}

    cancelled = told["cancelled"]
    # An engine that ran on would have filled the context.
    assert cancelled["instructions"] < cancelled["kept"] < 0.9 * cancelled["context"]
    assert told["too long"]["tokens"] > told["too long"]["context"] > 0
    assert "`#/contains` cannot be followed" in told["guide"]["why"]
    assert told["attachment"]["why"] == "the model reads text only"
    model = told["model"]
    assert (model["same"], model["another"], model["vision"]) == (True, False, False)
    assert model["reasoning"] == [True, False]
    reasoning, plain = told["reasoning"], told["no reasoning"]
    assert reasoning["texts"]["reasoning"] and reasoning["usage"][3] > 0
    assert set(plain["texts"]) == {"response"} and plain["usage"][3] == 0
    # The instructions and the tools, and all but the last of the answer's tokens after it.
    warm = told["prewarmed"]
    assert warm["usage"][0] - warm["usage"][1] < 20 and warm["kept"] > warm["usage"][0]
    assert told["closed"]["message"] == "the model has been closed"

    name = "SphereEdgeFoundationModels"
    listed = swift_interface.listed([tmp_path, built / "Modules"], tmp_path, name)
    assert listed == swift_interface.recorded(name)


def test_the_public_interface_is_the_recorded_one(
    package: list[str | Path], tmp_path: Path
) -> None:
    run([str(SWIFT), "build", *package], timeout_s=2400)
    scratch = Path(package[package.index("--scratch-path") + 1])
    found = swift_interface.listed([scratch / "debug" / "Modules"], tmp_path)
    assert found == swift_interface.recorded()


def test_the_guides_link_to_what_is_there(package: list[str | Path], tmp_path: Path) -> None:
    if shutil.which("docc") is None:
        pytest.skip("needs docc, which comes with swift")
    run([str(SWIFT), "build", *package], timeout_s=2400)
    scratch = Path(package[package.index("--scratch-path") + 1])
    (tmp_path / "graph").mkdir()
    graph = swift_interface.symbols([scratch / "debug" / "Modules"], tmp_path / "graph")
    guides = Path(
        shutil.copytree(IOS / "Sources" / "SphereEdge" / "SphereEdge.docc", tmp_path / "a.docc")
    )
    made = swift_interface.documented(graph, guides, tmp_path / "made")
    pages = {page.stem for page in (made / "data" / "documentation" / "sphereedge").iterdir()}
    assert pages >= {page.stem.lower() for page in guides.glob("*.md")} - {"sphereedge"}
    guide = guides / "ThreadsAndMemory.md"
    guide.write_text(guide.read_text().replace("TextManager/cancel()", "TextManager/halt()"))
    with pytest.raises(ProgramFailedError) as refused:
        swift_interface.documented(graph, guides, tmp_path / "again")
    assert "'halt()' doesn't exist" in refused.value.completed.stdout


def test_the_package_is_formatted_and_has_no_lint() -> None:
    lint = [str(SWIFT), "format", "lint", "--strict", "--configuration", IOS / ".swift-format"]
    run(
        [*lint, "--recursive", IOS / "Sources", IOS / "Tests", swift_session.SESSION], timeout_s=300
    )
