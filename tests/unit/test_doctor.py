"""`doctor` looks, tells the next command and changes nothing."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from sphere_edge.commands.doctor import doctor
from sphere_edge.doctor import Finding
from sphere_edge.errors import Status
from sphere_edge.toolchain import cache, compilers
from tests.cli_process import sphere_edge


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(compilers.NDK_VARIABLE, raising=False)
    return tmp_path / "cache"


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_what_is_needed_is_there(own_cache: Path) -> None:
    findings = by_name(doctor(as_json=False))
    for name in ("python", "packages", "pip", "zig", "cmake", "ninja", "cache", "cpu"):
        assert findings[name].state == "ok", findings[name]
    assert findings["runtime"].next_command == "sphere-edge runtime build"
    assert compilers.NDK_VARIABLE in str(findings["ndk"].next_command)
    # Looking is all it does, though zig keeps a cache of its own.
    assert {path.name for path in own_cache.glob("*")} <= {"zig"}


def test_json_holds_the_same(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = doctor(as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["healthy"] is True
    assert [Finding(**one) for one in told["findings"]] == findings


def test_adb_comes_from_the_system_where_its_python_package_has_none(
    own_cache: Path, tmp_path: Path
) -> None:
    # As pip installs adbutils on ARM.
    installed = Path(str(find_spec("adbutils").origin)).parent  # type: ignore[union-attr]
    shutil.copytree(installed, tmp_path / "adbutils", ignore=shutil.ignore_patterns("binaries"))
    (tmp_path / "bin").mkdir()
    port = {"ANDROID_ADB_SERVER_PORT": "1"}
    without = {"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path / "bin"), **port}
    told = json.loads(sphere_edge("doctor", "--json", **without).stdout)
    (finding,) = [one for one in told["findings"] if one["name"] == "adb"]
    assert (finding["state"], finding["next_command"]) == ("optional", "apt install adb")
    refused = sphere_edge("device", "list", "--device", "adb", **without)
    assert "error: the program `adb` is not installed" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_cache_that_cannot_be_used_is_told_with_the_way_out(
    own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_cache.write_text("a file, not a folder")
    finding = by_name(doctor(as_json=True))["cache"]
    assert finding.state == "missing"
    assert cache.FOLDER_VARIABLE in str(finding.next_command)
    assert json.loads(capsys.readouterr().out)["healthy"] is False


def test_a_named_ndk_is_found(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ndk" / "build" / "cmake").mkdir(parents=True)
    (tmp_path / "ndk" / "build" / "cmake" / "android.toolchain.cmake").touch()
    monkeypatch.setenv(compilers.NDK_VARIABLE, str(tmp_path / "ndk"))
    finding = by_name(doctor(as_json=False))["ndk"]
    assert (finding.state, finding.found) == ("ok", str(tmp_path / "ndk"))


def test_what_is_missing_shows_in_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    run = sphere_edge("doctor", **{cache.FOLDER_VARIABLE: str(tmp_path / "cache")})
    assert run.returncode == Status.NOT_FOUND
    assert "MISSING" in run.stdout
    run = sphere_edge("doctor", "--json", **{cache.FOLDER_VARIABLE: str(tmp_path / "other")})
    assert (run.returncode, json.loads(run.stdout)["healthy"]) == (0, True)
