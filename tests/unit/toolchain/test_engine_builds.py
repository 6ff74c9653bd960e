"""Which engines a native build has, what goes into their archives, and which build is chosen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sphere_edge import errors, resources
from sphere_edge.toolchain import archives, cache, native, targets
from sphere_edge.toolchain.project import build_folder

HOST = targets.host()


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "cache"))


def there(*engines: str) -> Path:
    """Pretends that a build with these engines has been made."""
    folder = build_folder(native.core_project(HOST, engines), HOST)
    folder.mkdir(parents=True)
    return folder


def test_every_file_of_ours_in_an_archive_is_part_of_its_key() -> None:
    recipe = resources.folder("native") / "engines" / "CMakeLists.txt"
    compiled = set(re.findall(r'"\$\{own\}/([\w/.]+\.cpp)"', recipe.read_text()))
    assert len(compiled) > 5
    own = resources.folder("native") / "src"
    known = {path for part in archives.PARTS for path in archives.inputs(part)}
    assert {own / name for name in compiled} <= known
    # With the headers that they include.
    assert own / "base" / "status.h" in archives.inputs("diffusion")


def test_archives_depend_on_nothing_that_is_not_in_them() -> None:
    assert {path.name for path in archives.inputs("llama")} == {
        *("CMakeLists.txt", "batch.cmake", "compiling.cmake"),
    }
    folders = [archives.folder(part, HOST) for part in archives.PARTS]
    assert len(set(folders)) == len(folders)
    assert archives.folder("llama", HOST) != archives.folder("llama", targets.NAMED["linux-arm64"])


def test_a_build_with_an_unknown_engine_is_refused() -> None:
    with pytest.raises(errors.InvalidArgumentError, match="`abacus`") as caught:
        native.core_project(HOST, ("tvm", "abacus"))
    assert "diffusion" in str(caught.value.hint)


def test_the_fullest_build_with_the_engine_is_used() -> None:
    assert native.built(HOST) == []
    small = there("tvm")
    assert native.build_for("tvm", HOST).folder == small
    larger = there("tvm", "whisper")
    assert native.built(HOST) == [("tvm", "whisper"), ("tvm",)]
    assert native.build_for("tvm", HOST).folder == larger
    assert native.build_for("whisper", HOST).folder == larger


def test_the_first_library_for_a_compiled_model_comes_without_a_runner() -> None:
    first = there(*native.STARTER)
    assert native.library_for("tvm").parent.parent == first
    assert native.built(HOST) == []
    fuller = there("tvm", "whisper")
    assert native.library_for("tvm").parent.parent == fuller


def test_the_c_plus_plus_library_is_made_from_zigs_sources_where_zig_compiles() -> None:
    for name, target in targets.NAMED.items():
        assert ("libcxx" in native.parts(target)) == name.startswith(("linux", "musl")), name


def test_an_engine_is_added_to_those_that_are_there() -> None:
    there("tvm", "whisper")
    # What would be built is there already, so that nothing is.
    with_images = there("tvm", "whisper", "diffusion")
    assert native.build_for("diffusion", HOST).folder == with_images
    assert native.built(HOST)[0] == ("tvm", "whisper", "diffusion")
