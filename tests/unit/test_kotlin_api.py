"""The Kotlin library's public interface, and what native code and phones need of it."""

from __future__ import annotations

import re

from tests import groups, kotlin_api
from tests.kotlin_compiler import ANDROID

SOURCES = kotlin_api.SOURCES / "dev" / "sphereedge"
CPP = ANDROID / "src" / "main" / "cpp"
NATIVE = (SOURCES / "internal" / "Native.kt").read_text(encoding="utf-8")


def test_the_public_interface_is_written_down() -> None:
    written = kotlin_api.DUMP.read_text(encoding="utf-8")
    assert written == kotlin_api.dump(), "python -m tests.kotlin_api"


def test_everything_internal_stays_so() -> None:
    assert "internal/" not in kotlin_api.dump()


def test_native_functions_are_in_one_file_and_all_registered() -> None:
    for path in SOURCES.rglob("*.kt"):
        assert "external fun" not in path.read_text(encoding="utf-8") or path.name == "Native.kt"
    declared = set(re.findall(r"external fun (\w+)", NATIVE))
    native = "".join(path.read_text(encoding="utf-8") for path in CPP.glob("*_calls.cpp"))
    assert declared == set(re.findall(r'method<\w+>\("(\w+)"', native))


def test_what_native_code_looks_up_is_kept_when_an_app_is_shrunk() -> None:
    rules = (ANDROID / "consumer-rules.pro").read_text(encoding="utf-8")
    looked_up = (CPP / "exchange.cpp").read_text() + (CPP / "jni.cpp").read_text()
    for name in re.findall(r'"(dev/sphereedge/[\w/]+)"', looked_up):
        assert name.replace("/", ".") in rules
    assert rules.count("-keep") == 3


def test_the_library_asks_for_no_permission() -> None:
    manifest = (ANDROID / "src" / "main" / "AndroidManifest.xml").read_text(encoding="utf-8")
    assert "permission" not in manifest.replace("No permissions", "")


def test_statuses_are_those_of_the_core() -> None:
    from sphere_edge.errors import Status

    source = (SOURCES / "SphereEdgeException.kt").read_text(encoding="utf-8")
    body = source[source.index("enum class Status") : source.index("internal companion")]
    names = re.findall(r"^    ([A-Z_]+),$", body, re.MULTILINE)
    assert names == [status.name for status in Status]


def test_options_are_fields_of_the_core() -> None:
    """Each name that Kotlin gives a value to is in a table of options.cpp."""
    tables = (CPP / "options.cpp").read_text(encoding="utf-8")
    known = set(re.findall(r"(?:AT|LIST)\(\w+, (\w+)", tables))
    for path in SOURCES.glob("*.kt"):
        used = re.findall(
            r'\bput(?:All)?\("([a-z_0-9]+)", [a-z!]', path.read_text(encoding="utf-8")
        )
        if path.name.endswith(("Manager.kt", "Request.kt")) and path.name != "Message.kt":
            unknown = set(used) - known - JSON_KEYS
            assert not unknown, (path.name, unknown)


def test_the_library_and_apps_are_built_with_the_same_versions() -> None:
    library, app = ANDROID.parent, groups.ROOT / "templates" / "android"
    catalogues = [
        dict(re.findall(r'^([a-z-]+) = "(.+)"$', (folder / CATALOGUE).read_text(), re.MULTILINE))
        for folder in (library, app)
    ]
    assert catalogues[0].items() <= catalogues[1].items()
    assert (library / WRAPPER).read_text() == (app / WRAPPER).read_text()


CATALOGUE = "gradle/libs.versions.toml"
WRAPPER = "gradle/wrapper/gradle-wrapper.properties"
JSON_KEYS = {
    *("messages", "tools", "tool_choice", "response_format", "reasoning"),
    *("parallel_tool_calls", "continue_final_message", "chat_template_kwargs"),
}
