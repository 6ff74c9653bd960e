"""Android projects rendered from bundles: complete, type-checked, and nearly an app."""

from __future__ import annotations

import re
import shutil
import struct
from functools import cache
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.bundle.read import read_manifest
from sphere_edge.errors import Status
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.toolchain import compilers
from tests import android_package, app_stubs_compiled, sdk_projects
from tests.cli_process import in_process, refused

pytestmark = pytest.mark.group("sdk")
PACKAGE = "com.example.chat"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app with every screen."""
    folder = tmp_path_factory.mktemp("android")
    return sdk_projects.rendered("android", folder, *bundles(), "--package", PACKAGE)


@cache
def bundles() -> list[Path]:
    return sdk_projects.bundles("pixel8")


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    try:
        return app_stubs_compiled.kotlin_stubs(tmp_path_factory.mktemp("stubs"))
    except (errors.NotFoundError, errors.UnavailableError) as error:
        pytest.skip(f"no Kotlin can be compiled here: {error}")


def test_a_project_is_complete_and_keeps_no_mark(project: Path) -> None:
    texts = sdk_projects.texts(project)
    assert not [name for name, text in texts.items() if re.search(r"\{\{|\{%|__[a-z]+__", text)]
    sources = project / "app" / "src" / "main" / "kotlin" / "com" / "example" / "chat"
    assert {path.name for path in sources.iterdir()} == {
        *("MainActivity.kt", "Models.kt", "ChatModel.kt", "ChatScreen.kt", "Markdown.kt"),
        *("TranscribeModel.kt", "TranscribeScreen.kt", "Microphone.kt"),
        *("ImageModel.kt", "ImageScreen.kt"),
    }
    for path in bundles():
        manifest = read_manifest(path)
        assert (
            f'"{manifest.name}", "{manifest.id}"'
            in texts[f"{sources.relative_to(project)}/Models.kt"]
        )
        below = project / "app" / "src" / "main" / "assets" / "bundles" / manifest.name
        there = {p.relative_to(below).as_posix() for p in below.rglob("*") if p.is_file()}
        data = {file.path for file in manifest.files if file.role != "library"}
        assert there == {"bundle.json", *data}


def test_aliases_of_build_files_are_in_the_catalogue(project: Path) -> None:
    catalogue = (project / "gradle" / "libs.versions.toml").read_text()
    known = {name.replace("-", ".") for name in re.findall(r"^([a-z0-9-]+) = \{", catalogue, re.M)}
    for path in project.rglob("*.kts"):
        for name in re.findall(r"libs\.(?:plugins\.)?([a-z0-9.]+[a-z0-9])", path.read_text()):
            assert name in known, (path, name)


def test_build_files_are_kotlin(project: Path) -> None:
    tree_sitter = pytest.importorskip("tree_sitter")
    grammar = pytest.importorskip("tree_sitter_kotlin")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    files = sorted(project.rglob("*.kts"))
    assert len(files) == 4
    for path in files:
        assert not parser.parse(path.read_bytes()).root_node.has_error, path


def test_screens_are_kotlin_that_the_compiler_takes(
    project: Path, stubs: list[Path], tmp_path: Path
) -> None:
    app_stubs_compiled.check_kotlin(project, stubs, tmp_path / "classes")
    chat = sdk_projects.rendered("android", tmp_path, bundles()[0])
    app_stubs_compiled.check_kotlin(chat, stubs, tmp_path / "chat")
    screen = next(chat.rglob("ChatScreen.kt"))
    screen.write_text(screen.read_text().replace("model.stop()", "model.halt()"))
    with pytest.raises(ProgramFailedError, match="halt"):
        app_stubs_compiled.check_kotlin(chat, stubs, tmp_path / "broken")


def test_an_app_has_only_the_screens_and_permissions_of_its_bundles(tmp_path: Path) -> None:
    text, audio, _ = bundles()
    chat = sdk_projects.rendered("android", tmp_path / "chat", text)
    assert not list(chat.rglob("*Transcribe*"))
    assert "RECORD_AUDIO" not in next(chat.glob("app/src/main/*.xml")).read_text()
    speech = sdk_projects.rendered("android", tmp_path / "speech", audio)
    assert not list(speech.rglob("Chat*"))
    assert "RECORD_AUDIO" in next(speech.glob("app/src/main/*.xml")).read_text()
    # Libraries stay in the APK where none is opened by its path.
    assert "useLegacyPackaging" in (chat / "app" / "build.gradle.kts").read_text()
    assert "useLegacyPackaging" not in (speech / "app" / "build.gradle.kts").read_text()


def test_weights_can_go_into_a_pack(tmp_path: Path) -> None:
    app = sdk_projects.rendered("android", tmp_path, bundles()[1], "--weights", "pack")
    assert (app / "weights/src/main/assets/bundles/tiny-whisper/model.bin").is_file()
    assert not (app / "app/src/main/assets").exists()
    assert 'include(":weights")' in (app / "settings.gradle.kts").read_text()
    assert 'assetPacks += ":weights"' in (app / "app" / "build.gradle.kts").read_text()
    # Back again: what was ours and is not wanted is gone.
    sdk_projects.rendered("android", tmp_path, bundles()[1], "--weights", "app")
    assert not (app / "weights").exists()
    assert (app / "app/src/main/assets/bundles/tiny-whisper/model.bin").is_file()


def test_compiled_models_suit_phones_with_pages_of_16_kb(project: Path) -> None:
    libraries = sorted((project / "app/src/main/jniLibs/arm64-v8a").iterdir())
    code = [file for file in read_manifest(bundles()[0]).files if file.role == "library"]
    assert {path.name for path in libraries} == {
        f"lib{Path(file.path).stem}-{file.sha256[:12]}.so" for file in code
    }
    for path in libraries:
        content = path.read_bytes()
        (offset,) = struct.unpack_from("<Q", content, 32)
        size, count = struct.unpack_from("<2H", content, 54)
        loads = [struct.unpack_from("<2I6Q", content, offset + i * size) for i in range(count)]
        assert {load[7] % android_package.PAGE_BYTES for load in loads if load[0] == 1} == {0}


def test_a_rendered_project_becomes_a_signed_apk(project: Path, tmp_path: Path) -> None:
    if (why := android_package.missing()) is not None:
        pytest.skip(why)
    apk = android_package.made(project, PACKAGE, tmp_path)
    verified = run(
        ["apksigner", "verify", "--verbose", "--min-sdk-version", "28", apk], timeout_s=300
    )
    assert re.search(r"Verified using v3 scheme .*: true", verified.stdout)
    offsets = android_package.stored_at(apk)
    libraries = (project / "app/src/main/jniLibs/arm64-v8a").iterdir()
    assert set(offsets) == {f"lib/arm64-v8a/{path.name}" for path in libraries}
    assert {offset % android_package.PAGE_BYTES for offset in offsets.values()} == {0}


def test_the_core_is_configured_as_android_studio_does_it(project: Path, tmp_path: Path) -> None:
    properties = (project / "gradle.properties").read_text()
    if "sphereEdge.prebuilt" in properties:
        pytest.skip("by design: the core was compiled when the project was made")
    if not (shutil.which("cc") and shutil.which("c++")):
        pytest.skip("needs a compiler of the system")
    (line,) = re.findall(r"^sphereEdge\.cmake=(.+)$", properties, re.M)
    source = project / "sphere-edge/android/sphere-edge/src/main/cpp"
    words = ["-S", source, "-B", tmp_path / "build", "-G", "Ninja"]
    words += [f"-DCMAKE_MAKE_PROGRAM={compilers.ninja()}"]
    run([compilers.cmake(), *words, *line.split(" ")], timeout_s=600)
    steps = run([compilers.ninja(), "-C", tmp_path / "build", "-n"], timeout_s=300).stdout
    assert "libsphere_edge_jni.so" in steps


def test_what_an_app_cannot_have_is_refused(tmp_path: Path) -> None:
    text, audio, _ = bundles()
    output = tmp_path / "MyApp"
    other = sdk_projects.bundle("tiny", "iphone15-pro").folder
    wrong: list[tuple[list[Path | str], Status, str]] = [
        ([text, text], Status.INVALID_ARGUMENT, "two bundles are called `tiny`"),
        ([other], Status.FORMAT_MISMATCH, "was made for `arm64-apple-ios15.0`"),
        ([text, "--package", "chat"], Status.INVALID_ARGUMENT, "`chat` is not the name of an"),
        ([text, "--name", 'a"b'], Status.INVALID_ARGUMENT, "is not a name for an app"),
        ([audio, "--weights", "here"], Status.INVALID_ARGUMENT, "invalid value `here`"),
        ([tmp_path], Status.NOT_FOUND, "is not a bundle"),
    ]
    for words, code, why in wrong:
        refused(in_process("sdk", "android", *words, "-o", output), code, why)
        assert not output.exists()


def test_force_asks_and_cannot_ask_without_a_terminal(tmp_path: Path) -> None:
    app = sdk_projects.rendered("android", tmp_path, bundles()[1])
    changed = app / "app" / "build.gradle.kts"
    ours = changed.read_text()
    changed.write_text("mine")
    kept = in_process("sdk", "android", bundles()[1], "-o", app)
    assert "`app/build.gradle.kts` was changed by you and stays" in kept.stderr
    asked = in_process("sdk", "android", bundles()[1], "-o", app, "--force")
    refused(asked, Status.INVALID_ARGUMENT, "files that you changed would be replaced", "--yes")
    assert changed.read_text() == "mine"
    done = in_process("sdk", "android", bundles()[1], "-o", app, "--force", "--yes")
    assert done.returncode == 0
    assert changed.read_text() == ours
