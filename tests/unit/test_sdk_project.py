"""A project that is written, changed by its owner and written again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from sphere_edge.errors import InternalError, InvalidArgumentError, StorageError
from sphere_edge.sdk import names, render
from sphere_edge.sdk.project import RECORD, Plain, Project


def project(output: Path, **files: str) -> Project:
    """Files by their names with `_` for `/`."""
    contents = {name.replace("_", "/"): Plain(text.encode()) for name, text in files.items()}
    return Project(output, "android", contents)


def texts(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def test_a_second_time_what_changed_is_renewed_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    output = tmp_path / "App"
    first = project(output, a_one="1", a_two="2", b_three="3").write()
    assert set(first.written) == {"a/one", "a/two", "b/three"}
    second = project(output, a_one="1", a_two="new").write()
    assert (second.written, second.kept, second.removed) == (("a/two",), (), ("b/three",))
    assert texts(output) == {"a/one": "1", "a/two": "new"}
    assert not (output / "b").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["App"]


def test_what_its_owner_changed_or_added_stays(tmp_path: Path) -> None:
    output = tmp_path / "App"
    project(output, a_one="1", a_two="2", b="3").write()
    (output / "a/one").write_text("mine")
    (output / "b").write_text("mine, too")
    (output / "a/new").write_text("added")
    update = project(output, a_one="1", a_two="2 again", a_new="ours").write()
    assert update.kept == ("a/one", "a/new")
    assert update.removed == ()
    wanted = {"a/one": "mine", "a/two": "2 again", "a/new": "added", "b": "mine, too"}
    assert texts(output) == wanted
    # Also the time after that.
    assert project(output, a_one="3", a_new="ours").write().kept == ("a/one", "a/new")


def test_what_was_changed_is_replaced_only_after_a_yes(tmp_path: Path) -> None:
    output = tmp_path / "App"
    project(output, one="1").write()
    (output / "one").write_text("mine")
    asked: list[str] = []

    def agrees(paths: Sequence[str]) -> bool:
        asked.extend(paths)
        return True

    contents = {"one": Plain(b"2")}
    assert Project(output, "android", contents, agrees).write().written == ("one",)
    assert asked == ["one"]
    assert texts(output) == {"one": "2"}


class Interrupted:
    """What Ctrl-C is while a file is written."""

    sha256 = "0" * 64
    bytes = 1

    def write(self, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt


def test_an_interrupt_leaves_no_new_project_and_an_old_one_whole(tmp_path: Path) -> None:
    output = tmp_path / "App"
    with pytest.raises(KeyboardInterrupt):
        Project(output, "android", {"a": Plain(b"1"), "b": Interrupted()}).write()
    assert list(tmp_path.iterdir()) == []
    project(output, a="1", b="2").write()
    with pytest.raises(KeyboardInterrupt):
        Project(output, "android", {"a": Plain(b"new"), "b": Interrupted()}).write()
    assert texts(output) == {"a": "1", "b": "2"}
    assert project(output, a="new", b="2").write().written == ("a",)
    assert [path.name for path in tmp_path.iterdir()] == ["App"]


def test_a_project_half_renewed_is_still_ours(tmp_path: Path) -> None:
    output = tmp_path / "App"
    project(output, a="1", b="1").write()
    record = json.loads((output / RECORD).read_text())
    record["files"] = {
        path: [*known, Plain(b"2").sha256] for path, known in record["files"].items()
    }
    (output / RECORD).write_text(json.dumps(record))
    (output / "a").write_text("2")
    assert project(output, a="3", b="3").write().written == ("a", "b")


def test_nothing_is_written_outside(tmp_path: Path) -> None:
    output, elsewhere = tmp_path / "App", tmp_path / "elsewhere"
    elsewhere.mkdir()
    project(output, a_one="1").write()
    (output / "a" / "one").unlink()
    (output / "a").rmdir()
    (output / "a").symlink_to(elsewhere)
    with pytest.raises(StorageError, match="leads out of the project"):
        project(output, a_one="2").write()
    assert list(elsewhere.iterdir()) == []
    record = {"kind": "android", "files": {"../elsewhere/kept": [Plain(b"x").sha256]}}
    (elsewhere / "kept").write_text("x")
    (output / RECORD).write_text(json.dumps(record))
    with pytest.raises(StorageError, match="leads out of the project"):
        project(output, b="2").write()
    assert (elsewhere / "kept").exists()


@pytest.mark.parametrize(
    "record", ["", "[]", '{"kind": "android"}', '{"kind": 1, "files": {"a": 1}}']
)
def test_a_damaged_record_stops_it(tmp_path: Path, record: str) -> None:
    (tmp_path / RECORD).write_text(record)
    with pytest.raises(StorageError, match="is damaged"):
        project(tmp_path, a="1").write()


def test_what_is_not_a_project_of_this_kind_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="is not a project"):
        project(tmp_path, a="1").write()
    with pytest.raises(StorageError, match="is not a project"):
        project(tmp_path / "file", a="1").write()
    project(tmp_path / "App", a="1").write()
    with pytest.raises(StorageError, match="is a project for `android`"):
        Project(tmp_path / "App", "ios", {}).write()


def test_names_become_sources_only_if_they_are_names() -> None:
    assert names.for_android("My App", None).identifier == "com.example.myapp"
    assert names.for_android("App", "dev.me.app_2").identifier == "dev.me.app_2"
    assert names.for_ios("My App", None) == names.AppNames("My App", "com.example.MyApp")
    assert names.for_ios("My App", "org.me.my-app").module == "MyApp"
    for name in ("", "a" * 41, "1st", '"', "a/b", "App ", "Äpp", "a\n"):
        with pytest.raises(InvalidArgumentError, match="is not a name for an app"):
            names.for_android(name, None)
    for package in ("app", "com.Example.app", "com.in.app", "com..app", "com.1a.b", "a.b\n"):
        with pytest.raises(InvalidArgumentError, match="is not the name of an Android package"):
            names.for_android("App", package)
    for identifier in ("app", "com.a_b.c", "com.", 'com."', "com.a.b "):
        with pytest.raises(InvalidArgumentError, match="is not a bundle identifier"):
            names.for_ios("App", identifier)


def test_no_mark_survives(tmp_path: Path) -> None:
    (tmp_path / "__module__.txt").write_text("{{ module }}{% if text %} yes{% endif %}.\n")
    found = render.rendered(tmp_path, {"module": "App", "text": None})
    assert {name: content.sha256 for name, content in found.items()} == {
        "App.txt": Plain(b"App.\n").sha256
    }
    with pytest.raises(InternalError, match="cannot be rendered"):
        render.rendered(tmp_path, {"text": None})
    with pytest.raises(InternalError, match="keeps a mark"):
        render.rendered(tmp_path, {"module": "{{ x }}", "text": None})
