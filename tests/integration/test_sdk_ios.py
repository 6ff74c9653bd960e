"""Xcode projects rendered from bundles: complete, type-checked, and readable by their parsers."""

from __future__ import annotations

import os
import plistlib
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sphere_edge import resources
from sphere_edge.bundle.read import Bundle, read_manifest
from sphere_edge.errors import ModelCorruptError, Status
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.sdk import core_framework, mach_o, xcframework
from sphere_edge.sdk.app_bundle import AppBundle
from sphere_edge.toolchain import compilers
from tests import app_stubs_compiled, c_interface, sdk_projects
from tests.cli_process import in_process, refused

pytestmark = pytest.mark.group("sdk")
FRAMEWORK = Path("ModelCode/ModelCode.xcframework")


@cache
def bundles() -> list[Path]:
    return sdk_projects.bundles("iphone15-pro")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app with every screen."""
    folder = tmp_path_factory.mktemp("ios")
    words = ["--bundle-id", "com.example.Chat", "--name", "My Chat"]
    return sdk_projects.rendered("ios", folder, *bundles(), *words)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if app_stubs_compiled.SWIFTC is None:
        pytest.skip("needs swiftc (https://swift.org, 6.0 or newer)")
    return app_stubs_compiled.swift_modules(tmp_path_factory.mktemp("modules"))


def test_a_project_is_complete_and_keeps_no_mark(project: Path) -> None:
    texts = sdk_projects.texts(project)
    assert not [name for name, text in texts.items() if re.search(r"\{\{|\{%|__[a-z]+__", text)]
    assert {path.name for path in (project / "App").iterdir()} == {
        *("App.swift", "Models.swift", "ChatModel.swift", "ChatScreen.swift"),
        *("TranscribeScreen.swift", "Microphone.swift", "ImageScreen.swift"),
    }
    for path in bundles():
        manifest = read_manifest(path)
        for file in manifest.files:
            assert (project / "Bundles" / manifest.name / file.path).stat().st_size == file.bytes
    with (project / "App.entitlements").open("rb") as file:
        assert plistlib.load(file) == {"com.apple.developer.kernel.increased-memory-limit": True}
    for script in ("build-core.sh", "ios/build-xcframework.sh"):
        run(["sh", "-n", project / "SphereEdge" / script], timeout_s=60)


def test_the_xcode_project_refers_to_what_is_there(project: Path) -> None:
    pbxproj = pytest.importorskip("pbxproj")
    path = project / "MyChat.xcodeproj" / "project.pbxproj"
    found = pbxproj.XcodeProject.load(str(path))
    ids = set(re.findall(r"\b5E[0-9A-F]{22}\b", path.read_text()))
    assert ids == {one.get_id() for one in found.objects.get_objects_in_section(*SECTIONS)}
    for reference in found.objects.get_objects_in_section("PBXFileReference"):
        if reference.sourceTree == "<group>":
            assert (project / reference.path).exists()
    for group in found.objects.get_objects_in_section("PBXFileSystemSynchronizedRootGroup"):
        assert (project / group.path).is_dir()
    (package,) = found.objects.get_objects_in_section("XCLocalSwiftPackageReference")
    assert (project / package.relativePath / "Package.swift").is_file()
    settings = [
        dict(one.buildSettings.__dict__)
        for one in found.objects.get_objects_in_section("XCBuildConfiguration")
    ]
    of_app = [one for one in settings if "PRODUCT_NAME" in one]
    assert [one["PRODUCT_BUNDLE_IDENTIFIER"] for one in of_app] == ["com.example.Chat"] * 2
    assert sum("INFOPLIST_KEY_NSMicrophoneUsageDescription" in one for one in settings) == 2


SECTIONS = (
    *("PBXBuildFile", "PBXFileReference", "PBXFileSystemSynchronizedRootGroup", "PBXGroup"),
    *("PBXFrameworksBuildPhase", "PBXNativeTarget", "PBXProject", "PBXResourcesBuildPhase"),
    *("PBXSourcesBuildPhase", "XCBuildConfiguration", "XCConfigurationList"),
    *("XCLocalSwiftPackageReference", "XCSwiftPackageProductDependency"),
)


def members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Of a static library: each member, without the table of symbols."""
    assert archive.startswith(b"!<arch>\n")
    offset = 8
    while offset < len(archive):
        name = archive[offset : offset + 16].decode().strip()
        size = int(archive[offset + 48 : offset + 58])
        content = archive[offset + 60 : offset + 60 + size]
        if name.startswith("#1/"):
            length = int(name[3:])
            name, content = content[:length].rstrip(b"\0").decode(), content[length:]
        if not name.startswith("__.SYMDEF"):
            yield name, content
        offset += 60 + size + size % 2


def test_the_framework_has_every_object_and_what_keeps_it(project: Path) -> None:
    with (project / FRAMEWORK / "Info.plist").open("rb") as file:
        (library,) = plistlib.load(file)["AvailableLibraries"]
    assert (library["SupportedPlatform"], library["SupportedArchitectures"]) == ("ios", ["arm64"])
    folder = project / FRAMEWORK / library["LibraryIdentifier"]
    archive = (folder / library["LibraryPath"]).read_bytes()
    # The table without which a linker refuses the library.
    assert b"__.SYMDEF" in archive[:100]
    found = dict(members(archive))
    manifest = read_manifest(bundles()[0])
    code = [file.path for file in manifest.files if file.role == "library"]
    names = {path.removeprefix("lib/").replace("/", "_") for path in code}
    assert set(found) == {"keep.o", *(f"tiny_lib_{name}" for name in names)}
    read = {name: mach_o.read(content, name) for name, content in found.items()}
    assert {one.platform for one in read.values()} == {mach_o.IOS}
    assert "_sphere_edge_keep_model_code" in read["keep.o"].symbols
    for name, one in read.items():
        if name != "keep.o":
            own = [symbol for symbol in one.symbols if "sphere_edge_" in symbol]
            assert any(symbol.encode() + b"\0" in found["keep.o"] for symbol in own), name
    header = folder / library["HeadersPath"] / "ModelCode" / "ModelCode.h"
    assert "sphere_edge_keep_model_code(void)" in header.read_text()


def test_the_core_is_linked_without_what_an_earlier_build_left(tmp_path: Path) -> None:
    build, programs = tmp_path / "a build", tmp_path / "programs"
    objects = "CMakeFiles/se_tvm_runtime.dir"
    left = [build / "engines" / "libgone.a", build / objects / "gone.cc.o"]
    made = [build / "libnew.a", build / objects / "new.cc.o"]
    others = [build / "CMakeFiles" / "sphere_edge.dir" / "kept.cpp.o"]
    for path in (*left, *others):
        path.parent.mkdir(parents=True)
        path.touch()
    # What a Mac has: its cmake makes two files, and its linker is given the names.
    words = {
        "cmake": f"""[ "$1" != --build ] || touch '{made[0]}' '{made[1]}'""",
        "xcrun": f"""for one; do echo "$one"; done >'{tmp_path / "linked"}'""",
        "sysctl": "echo 2",
        "python3": "echo -DSE_PARTS=",
    }
    programs.mkdir()
    for name, text in words.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "BUILD_FOLDER": str(build)}
    script = resources.folder("ios") / "build-xcframework.sh"
    run(["sh", script], timeout_s=60, env=environment)
    linked = (tmp_path / "linked").read_text().splitlines()
    assert {Path(one) for one in linked if one.endswith((".a", ".cc.o"))} == set(made)
    assert not any(path.exists() for path in left) and others[0].exists()


def compiled(text: str, target: str, into: Path) -> Path:
    (into / "core.c").write_text(text)
    words = ["cc", "-target", target, "-c", "core.c", "-o", "core.o", "-O1"]
    environment = compilers.environment()
    run([compilers.zig(), *words], timeout_s=300, cwd=into, env=environment)
    return into / "core.o"


def test_the_core_becomes_the_framework_that_the_package_links(tmp_path: Path) -> None:
    header = resources.folder("native") / "include" / "sphere_edge.h"
    functions = re.findall(r"^function .*?\b(se_\w+)\(", c_interface.DUMP.read_text(), re.MULTILINE)
    assert len(functions) > 40
    everything = "".join(f"void {function}(void) {{}}\n" for function in functions)
    core = compiled(everything, "aarch64-ios.17.0", tmp_path)
    (tmp_path / "ios").mkdir()
    made = core_framework.write(core, header, tmp_path / "ios")
    # Again, in place of the one before.
    assert core_framework.write(core, header, tmp_path / "ios") == made
    assert [path.name for path in (tmp_path / "ios").iterdir()] == ["CSphereEdge.xcframework"]
    manifest = (resources.folder("ios") / "Package.swift").read_text()
    assert f'binaryTarget(name: "CSphereEdge", path: "{made.name}")' in manifest

    (library,) = plistlib.loads((made / "Info.plist").read_bytes())["AvailableLibraries"]
    folder = made / library["LibraryIdentifier"]
    ((name, content),) = members((folder / library["LibraryPath"]).read_bytes())
    found = mach_o.read(content, name)
    assert found.platform == mach_o.IOS and "_se_text_chat" in found.symbols
    headers = folder / library["HeadersPath"] / "CSphereEdge"
    assert (headers / "sphere_edge.h").read_bytes() == header.read_bytes()
    assert 'header "sphere_edge.h"' in (headers / "module.modulemap").read_text()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("aarch64-ios.17.0", "lacks [0-9]+ functions of the core, among them `se_"),
        ("aarch64-macos", "is for another system than iOS"),
        ("aarch64-linux-musl", "is not a 64-bit ARM object file"),
    ],
)
def test_a_core_that_is_not_one_for_iphones_is_refused(
    target: str, message: str, tmp_path: Path
) -> None:
    core = compiled("void se_version(void) {}\n", target, tmp_path)
    header = resources.folder("native") / "include" / "sphere_edge.h"
    with pytest.raises(ModelCorruptError, match=message):
        core_framework.write(core, header, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["core.c", "core.o"]


def test_the_same_bundle_gives_the_same_project(project: Path) -> None:
    again = in_process(
        *("sdk", "ios", *bundles(), "-o", project, "--json"),
        *("--bundle-id", "com.example.Chat", "--name", "My Chat"),
    )
    assert '"written": []' in again.stdout


def test_screens_are_swift_that_the_compiler_takes(
    project: Path, modules: Path, tmp_path: Path
) -> None:
    app_stubs_compiled.check_swift(project, modules)
    chat = sdk_projects.rendered("ios", tmp_path / "chat", bundles()[0])
    app_stubs_compiled.check_swift(chat, modules)
    speech = sdk_projects.rendered("ios", tmp_path / "speech", bundles()[1])
    app_stubs_compiled.check_swift(speech, modules)
    assert not (speech / "ModelCode").exists()
    screen = chat / "App" / "ChatScreen.swift"
    screen.write_text(screen.read_text().replace("model.stop()", "model.halt()"))
    with pytest.raises(ProgramFailedError, match="halt"):
        app_stubs_compiled.check_swift(chat, modules)


def test_the_package_in_the_project_is_one(project: Path) -> None:
    swift = shutil.which("swift")
    if swift is None:
        pytest.skip("needs swift (https://swift.org, 6.0 or newer)")
    words = ["package", "--package-path", project / "SphereEdge" / "ios", "describe"]
    done = run([swift, *words], timeout_s=600)
    assert "Name: SphereEdge" in done.stdout
    assert "SphereEdgeTests" not in done.stdout


def test_bundles_of_other_systems_are_refused(tmp_path: Path) -> None:
    android = sdk_projects.bundle("tiny", "pixel8").folder
    done = in_process("sdk", "ios", android, "-o", tmp_path / "MyApp")
    refused(done, Status.FORMAT_MISMATCH, "was made for `aarch64-linux-android28`")
    assert not (tmp_path / "MyApp").exists()


def test_object_files_are_checked_before_they_are_packed(tmp_path: Path) -> None:
    bundle = Bundle.open(shutil.copytree(bundles()[0], tmp_path / "tiny"))
    path = bundle.folder / next(f.path for f in bundle.manifest.files if f.role == "library")
    sound = path.read_bytes()
    for content in (b"", sound[:40], sound[: len(sound) // 2], b"\x7fELF" + sound[4:]):
        with pytest.raises(ModelCorruptError):
            mach_o.read(content, "lib0.o")
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.raises(ModelCorruptError, match="does not match its manifest"):
        xcframework.contents([AppBundle(bundle.folder, bundle.manifest)], "ModelCode")
