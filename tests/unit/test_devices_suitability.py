"""A bundle is refused for a device it cannot run on, for the reason that counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.bundle.manifest import Manifest, Target
from sphere_edge.bundle.read import read_manifest
from sphere_edge.devices.probe import Probe, parse
from sphere_edge.devices.suitability import check

GOLDEN = Path(__file__).parents[1] / "data" / "golden.bundle"
BOARD = parse(
    "== uname\nLinux\n5.10\naarch64\n== meminfo\nMemTotal: 4000000 kB\nMemAvailable: 2000000 kB\n"
    "== auxv\n0000000000000010 0000000000100402\n== end\n",
    "x",
)


def made_for(triple: str, *features: str) -> Manifest:
    return read_manifest(GOLDEN).model_copy(
        update={"target": Target(triple=triple, cpu_features=features), "engine": "tvm"}
    )


@pytest.mark.parametrize("triple", ["aarch64-unknown-linux-gnu", "arm64-linux-musl"])
def test_machine_code_for_the_device_passes(triple: str) -> None:
    check(made_for(triple, "neon", "dotprod"), BOARD, "ssh://board")


@pytest.mark.parametrize(
    ("triple", "told"),
    [
        ("x86_64-unknown-linux-gnu", "made for x86_64 linux, .* is aarch64 linux"),
        ("aarch64-linux-android35", "made for aarch64 android"),
        ("arm64-apple-macosx13.0", "made for aarch64 macos"),
    ],
)
def test_machine_code_for_another_system_is_refused(triple: str, told: str) -> None:
    with pytest.raises(errors.FormatMismatchError, match=told):
        check(made_for(triple), BOARD, "ssh://board")


def test_a_missing_cpu_feature_is_named_before_it_can_crash() -> None:
    with pytest.raises(errors.FormatMismatchError, match="lacks: i8mm"):
        check(made_for("aarch64-linux-gnu", "neon", "i8mm"), BOARD, "ssh://board")


def test_a_bundle_without_machine_code_runs_on_any_system() -> None:
    portable = made_for("x86_64-unknown-linux-gnu").model_copy(update={"engine": "llama"})
    check(portable, BOARD, "ssh://board")


def test_memory_that_is_taken_right_now_counts() -> None:
    manifest = made_for("aarch64-linux-gnu")
    peak = manifest.memory.peak_bytes
    check(manifest, _with_available(peak), "ssh://board")
    with pytest.raises(errors.OutOfMemoryError, match="available right now"):
        check(manifest, _with_available(peak - 1), "ssh://board")


def test_memory_that_is_not_told_stops_nothing() -> None:
    check(made_for("aarch64-linux-gnu"), _with_available(None), "ssh://board")


def _with_available(count: int | None) -> Probe:
    return replace(BOARD, memory_available_bytes=count)
