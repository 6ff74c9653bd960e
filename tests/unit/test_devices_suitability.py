"""A bundle is refused for a device it cannot run on, for the reason that counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from sphere_edge import errors
from sphere_edge.bundle.manifest import Manifest, Target
from sphere_edge.bundle.read import read_manifest
from sphere_edge.devices.probe import Probe, parse
from sphere_edge.devices.suitability import check, runtime_target
from sphere_edge.toolchain import compilers, targets

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


def test_a_gpu_with_too_little_free_memory_is_told_before_a_byte_is_sent() -> None:
    manifest = made_for("aarch64-linux-gnu")
    on_gpu = manifest.model_copy(update={"target": Target(triple="aarch64-linux", backend="cuda")})
    needed = on_gpu.memory.gpu_bytes
    for free in (needed, None):
        check(on_gpu, replace(BOARD, gpu_memory_available_bytes=free), "ssh://board")
    short = replace(BOARD, gpu_memory_available_bytes=needed - 1)
    check(manifest, short, "ssh://board")
    with pytest.raises(errors.OutOfMemoryError, match="on the GPU, that of ssh://board has") as no:
        check(on_gpu, short, "ssh://board")
    assert no.value.code == errors.Status.OOM_VRAM


def _with_available(count: int | None) -> Probe:
    return replace(BOARD, memory_available_bytes=count)


@pytest.mark.parametrize(
    ("os", "architecture", "libc", "features", "target"),
    [
        ("linux", "aarch64", "gnu", ("neon",), "linux-arm64"),
        ("linux", "aarch64", "gnu", ("neon", "fp16", "dotprod"), "linux-arm64-dotprod"),
        ("linux", "aarch64", "gnu", ("neon", "fp16", "dotprod", "i8mm"), "linux-arm64-i8mm"),
        # i8mm alone is no level: what comes with it on every such CPU is missing.
        ("linux", "aarch64", "gnu", ("neon", "i8mm"), "linux-arm64"),
        ("linux", "aarch64", "musl", ("neon", "fp16", "dotprod"), "musl-arm64-dotprod"),
        ("linux", "aarch64", None, ("neon",), "musl-arm64"),
        ("android", "aarch64", "bionic", ("neon", "fp16", "dotprod"), "musl-arm64-dotprod"),
        ("linux", "x86_64", "gnu", ("avx2", "fma", "f16c"), "linux-x86-64-v3"),
        ("linux", "x86_64", "gnu", ("avx2",), "linux-x86-64"),
        ("linux", "x86_64", "musl", ("avx2", "fma", "f16c"), "musl-x86-64"),
    ],
)
def test_a_device_gets_the_highest_level_whose_features_it_has(
    monkeypatch: pytest.MonkeyPatch,
    os: Literal["linux", "android"],
    architecture: str,
    libc: Literal["gnu", "musl", "bionic"] | None,
    features: tuple[str, ...],
    target: str,
) -> None:
    monkeypatch.delenv(compilers.NDK_VARIABLE, raising=False)
    device = replace(BOARD, os=os, architecture=architecture, libc=libc, cpu_features=features)
    chosen = runtime_target(device, "ssh://board")
    assert chosen.name == target
    assert set(chosen.features) <= set(features)


def test_no_set_of_features_leads_to_a_runtime_that_needs_more() -> None:
    known = sorted({feature for target in targets.NAMED.values() for feature in target.features})
    for bits in range(1 << len(known)):
        features = tuple(name for at, name in enumerate(known) if bits >> at & 1)
        for family in ("linux-arm64", "musl-arm64", "android-arm64", "linux-x86-64"):
            chosen = targets.best(family, features)
            assert chosen is None or set(chosen.features) <= set(features)


def test_the_ndk_builds_for_android_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compilers.NDK_VARIABLE, "ndk")
    phone = replace(BOARD, os="android", libc="bionic", cpu_features=("neon",))
    assert runtime_target(phone, "adb:1").name == "android-arm64"


def test_a_system_without_a_runtime_is_named() -> None:
    with pytest.raises(errors.UnsupportedError, match="ssh://board .riscv64 linux"):
        runtime_target(replace(BOARD, architecture="riscv64", libc=None), "ssh://board")
