"""Runtimes from wheels: used for exactly their inputs, whole, and nothing is compiled."""

from __future__ import annotations

import json
import re
import stat
import sys
from pathlib import Path

import pytest

from sphere_edge import errors, resources
from sphere_edge.run import run
from sphere_edge.toolchain import cache, compilers, native, prebuilt, project, targets
from sphere_edge.toolchain.project import Project

TARGET = targets.NAMED["linux-arm64-dotprod"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of runtimes of an installed sphere-edge-runtimes; the cache is empty."""
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    package = tmp_path / "site" / "sphere_edge_runtimes"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "sphere_edge_runtimes", raising=False)
    return package / "data"


def a_project(folder: Path, source: str) -> Project:
    folder.mkdir(exist_ok=True)
    (folder / "CMakeLists.txt").write_text("message(FATAL_ERROR compiled)\n")
    (folder / "code.c").write_text(source)
    # As TVM's libraries for other machines: in the wheel, and not here.
    return Project("sample", folder, beside=(folder / "absent" / "libtvm.so",))


def put_runtime(data: Path, name: str) -> None:
    for path, content in {
        "lib/libsphere_edge.so": "library",
        "lib/libtvm.so": "TVM",
        "bin/sphere-edge-run": "runner",
        prebuilt.NOTE: "sphere-edge-runtimes 0.1.0",
    }.items():
        (data / name / path).parent.mkdir(parents=True, exist_ok=True)
        (data / name / path).write_text(content)


def test_a_runtime_of_the_same_inputs_is_copied_instead_of_built(
    installed: Path, tmp_path: Path
) -> None:
    wanted = a_project(tmp_path / "source", "int x;")
    put_runtime(installed, project.build_folder(wanted, TARGET).name)
    made = project.build_project(wanted, TARGET)
    assert made == project.build_folder(wanted, TARGET)
    assert (made / "lib" / "libsphere_edge.so").read_text() == "library"
    assert (made / "lib" / "libtvm.so").read_text() == "TVM"
    assert (made / "bin" / "sphere-edge-run").stat().st_mode & stat.S_IXUSR
    assert prebuilt.origin(made) == "the wheel of sphere-edge-runtimes 0.1.0"
    assert not (cache.folder() / "logs").exists()


def test_a_runtime_of_other_inputs_is_not_used(installed: Path, tmp_path: Path) -> None:
    wanted = a_project(tmp_path / "source", "int x;")
    put_runtime(installed, project.build_folder(wanted, TARGET).name)
    changed = a_project(tmp_path / "source", "int y;")
    assert prebuilt.find(project.build_folder(changed, TARGET).name) is None
    with pytest.raises(errors.InternalError, match="does not build"):
        project.build_project(changed, TARGET)


def test_what_python_leaves_beside_its_files_is_no_input(tmp_path: Path) -> None:
    wanted = a_project(tmp_path / "source", "int x;")
    before = project.key(wanted, TARGET)
    (tmp_path / "source" / "tools" / "__pycache__").mkdir(parents=True)
    (tmp_path / "source" / "tools" / "__pycache__" / "make.pyc").write_bytes(b"1")
    assert project.key(wanted, TARGET) == before


# Run with our package as a wheel lays it out: one more level at a time is among its runtimes.
_LEVELS_ONE_BY_ONE = """
import json
from pathlib import Path
from sphere_edge import resources
from sphere_edge.toolchain import native, prebuilt, project, targets

def put(level):
    name = project.build_folder(native.core_project(level, native.ALL_ENGINES), level).name
    for path in ("bin/sphere-edge-run", "lib/libsphere_edge.so", prebuilt.NOTE):
        file = resources.code() / "_data" / "runtimes" / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)

host, levels = targets.host(), targets.host_levels()
chosen = [native.level_in_wheel(host)]
for level in levels[::-1]:
    put(level)
    chosen.append(native.level_in_wheel(host))
built = native.build_for("whisper", host)
print(json.dumps({
    "levels": [level.name for level in levels],
    "chosen": [level and level.name for level in chosen],
    "built": native.built(host),
    "is_called_host_only": native.level_in_wheel(levels[0]) is None,
    "runner": built.runner.read_text(),
    "folder": str(built.folder),
    "lib": sorted(path.name for path in (built.folder / "lib").iterdir()),
}))
"""


def test_the_highest_level_of_this_cpu_in_our_wheel_serves_this_machine(tmp_path: Path) -> None:
    package = tmp_path / "site" / "sphere_edge"
    (package / "_data" / "runtimes").mkdir(parents=True)
    (package / "_data" / "native").symlink_to(resources.folder("native"))
    for entry in resources.code().iterdir():
        if entry.name != "_data":
            (package / entry.name).symlink_to(entry)
    made = tmp_path / "cache"
    environment = {"PYTHONPATH": str(package.parent), cache.FOLDER_VARIABLE: str(made)}
    words = [sys.executable, "-c", _LEVELS_ONE_BY_ONE]
    answer = run(words, timeout_s=120, cwd=tmp_path, env=environment)
    told = json.loads(answer.stdout)
    assert told["chosen"] == [None, *told["levels"][::-1]]
    assert told["built"] == [list(native.ALL_ENGINES)]
    assert told["is_called_host_only"]
    assert told["folder"].startswith(f"{made}/native/{told['levels'][0]}-")
    assert told["runner"] == Path(told["folder"]).name
    assert told["lib"] == ["libsphere_edge.so", "libtvm_ffi.so", "libtvm_runtime.so"]
    assert {path.name for path in made.iterdir()} == {"native"}


def test_the_wheel_for_devices_does_not_serve_this_machine(installed: Path) -> None:
    for level in targets.host_levels():
        wanted = native.core_project(level, native.ALL_ENGINES)
        put_runtime(installed, project.build_folder(wanted, level).name)
        assert native.find(level, native.ALL_ENGINES) is not None
    assert native.level_in_wheel(targets.host()) is None


def test_without_zig_the_key_is_that_of_the_pinned_zig() -> None:
    project_file = Path(__file__).parents[3] / "pyproject.toml"
    pinned = re.search(r'"ziglang==([^"]+)"', project_file.read_text())
    assert pinned is not None
    assert pinned[1] == compilers.ZIG_VERSION
