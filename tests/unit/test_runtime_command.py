"""`runtime targets` and `info --target`: what there is to build, and what is built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.commands import runtime
from sphere_edge.toolchain import compilers, native, targets
from sphere_edge.toolchain.project import build_folder


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(compilers.NDK_VARIABLE, raising=False)


def test_every_target_is_listed_with_what_its_cpu_must_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runtime.list_targets(as_json=True)
    listed = {one["target"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed.keys() == {"host", *targets.NAMED}
    assert listed["linux-arm64-dotprod"]["cpu_features"] == ["neon", "dotprod", "fp16"]
    assert "bytes" not in listed["musl-arm64"]


def test_a_build_is_told_with_the_sizes_of_its_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = targets.NAMED["musl-arm64"]
    folder = build_folder(native.core_project(target), target)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "sphere-edge-run").write_bytes(bytes(1000))
    runtime.info("musl-arm64", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(folder)
    assert (told["sphere-edge-run_bytes"], told["bytes"]) == (1000, 1000)


def test_a_target_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(errors.NotFoundError, match="`linux-riscv64`") as caught:
        runtime.info("linux-riscv64", as_json=True)
    assert "linux-arm64-i8mm" in str(caught.value.hint)
