"""Which target a device profile is built for."""

from __future__ import annotations

import importlib.metadata
import platform

import pytest

from sphere_edge import profiles
from sphere_edge.run import run
from sphere_edge.toolchain import compilers, targets, wheels


@pytest.mark.parametrize(
    ("profile", "target"),
    [
        ("host", "host"),
        ("pixel8", "android-arm64-i8mm"),
        ("raspberry-pi-4", "linux-arm64"),
        ("raspberry-pi-5", "linux-arm64-dotprod"),
        ("jetson-orin-nano", "linux-arm64-dotprod"),
        ("generic-x86-64-v3", "linux-x86-64-v3"),
        ("iphone15-pro", "ios-arm64"),
    ],
)
def test_each_profile_gets_the_highest_level_it_runs(profile: str, target: str) -> None:
    assert targets.for_profile(profiles.load(profile)).name == target


MACROS = {
    "dotprod": "__ARM_FEATURE_DOTPROD",
    "i8mm": "__ARM_FEATURE_MATMUL_INT8",
    "fp16": "__ARM_FEATURE_FP16_VECTOR_ARITHMETIC",
    "neon": "__ARM_NEON",
    "avx2": "__AVX2__",
    "fma": "__FMA__",
    "f16c": "__F16C__",
    "avx512vnni": "__AVX512VNNI__",
}


@pytest.mark.parametrize("name", [t.name for t in targets.NAMED.values() if t.triple])
def test_a_level_uses_exactly_the_features_it_names(name: str) -> None:
    target = targets.NAMED[name]
    asked = [compilers.zig(), "cc", "-target", str(target.triple), f"-mcpu={target.cpu}"]
    defined = run(
        [*asked, "-dM", "-E", "-x", "c", "/dev/null"], timeout_s=300, env=compilers.environment()
    ).stdout
    found = {feature for feature, macro in MACROS.items() if f"#define {macro} " in defined}
    assert found == set(target.features)


def test_zig_describes_this_machine_without_its_kernel() -> None:
    described = compilers.native_cpu()
    assert ".features" in described
    assert platform.release() not in described


def test_tvm_for_other_machines_is_the_version_whose_headers_are_installed() -> None:
    for architecture in ("aarch64", "x86_64"):
        for wheel in wheels.TVM_RUNTIME[architecture]:
            assert wheel.version == importlib.metadata.version(wheel.distribution)
            assert architecture in wheel.platform
