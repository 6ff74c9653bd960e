"""A device's own words become a profile, and the catalogue's nearest one is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sphere_edge import errors, profiles
from sphere_edge.devices.described import profile_of
from sphere_edge.devices.matching import matches
from sphere_edge.devices.probe import Probe, parse
from tests.unit.test_devices_probe import JETSON, PHONE

CATALOGUE = [profiles.load(name) for name in profiles.names() if name != "host"]


def jetson() -> Probe:
    return parse(JETSON, "ssh://orin")


def test_a_phone_becomes_a_profile_with_its_own_figures() -> None:
    profile = profile_of(parse(PHONE, "adb:x"), "adb:x")
    assert (profile.name, profile.os) == ("google-pixel-8", "android")
    assert profile.triple == "aarch64-linux-android28"
    assert profile.cpu.features == ("neon", "fp16", "dotprod", "i8mm")
    # The two at 1.7 GHz with a quarter of the capacity do not count.
    assert profile.cpu.performance_cores == 2
    assert profile.memory.usable_bytes == profile.memory.total_bytes // 2
    assert profile.gpu is not None
    assert profile.gpu.api == "opencl"
    assert profile.backends == ("opencl", "cpu")


def test_a_jetson_becomes_a_profile_with_its_gpu() -> None:
    profile = profile_of(jetson(), "ssh://orin")
    assert profile.triple == "aarch64-unknown-linux-gnu"
    assert profile.gpu is not None
    assert (profile.gpu.api, profile.gpu.architecture) == ("cuda", "sm_87")
    assert profile.backends == ("cuda", "cpu")


@pytest.mark.parametrize(
    "change",
    [{"soc": "nvidia,tegra194"}, {"soc": "a new one"}, {"gpu": None}, {"gpu": "VideoCore VII"}],
)
def test_a_gpu_that_no_kernels_can_be_made_for_is_no_backend(change: dict[str, str]) -> None:
    profile = profile_of(replace(jetson(), **change), "ssh://orin")
    assert profile.backends == ("cpu",)
    assert ("gpu" in profile.sources) == (profile.gpu is not None)


@pytest.mark.parametrize(("told", "name"), [(PHONE, "pixel8"), (JETSON, "jetson-orin-nano")])
def test_the_nearest_profile_is_that_of_the_same_device(told: str, name: str) -> None:
    best = matches(parse(told, "x"), "x", CATALOGUE)[0]
    assert best.profile.name == name
    assert best.runs


def test_a_profile_that_needs_what_the_device_lacks_comes_after_all_that_run() -> None:
    plain = replace(jetson(), cpu_features=("neon",))
    found = matches(plain, "x", CATALOGUE)
    assert found[0].profile.name == "raspberry-pi-4"
    orin = next(one for one in found if one.profile.name == "jetson-orin-nano")
    assert not orin.runs
    assert orin.differences[0].profile == "dotprod fp16"
    assert [one.runs for one in found] == sorted((one.runs for one in found), reverse=True)


def test_a_device_without_a_name_is_nearest_to_a_generic_profile() -> None:
    nameless = replace(jetson(), model=None, soc=None, gpu=None, cpu_model=None)
    assert matches(nameless, "x", CATALOGUE)[0].profile.name == "generic-armv8.2"


def test_a_profile_for_a_gpu_is_not_near_to_a_device_without_one() -> None:
    told = {"os": "linux", "architecture": "x86_64", "libc": "gnu", "cpu_model": "a processor"}
    server = replace(jetson(), **told, model=None, soc=None, gpu=None)
    server = replace(server, cpu_features=("avx2", "fma", "f16c"))
    assert matches(server, "x", CATALOGUE)[0].profile.name == "generic-x86-64-v3"
    desktop = replace(server, gpu="NVIDIA")
    assert matches(desktop, "x", CATALOGUE)[0].profile.name.startswith("generic-cuda-")


def test_less_memory_than_the_profile_promises_is_told() -> None:
    small = replace(jetson(), memory_total_bytes=4 << 30)
    best = next(
        one for one in matches(small, "x", CATALOGUE) if one.profile.name == "jetson-orin-nano"
    )
    told = {one.figure: one for one in best.differences}["memory.usable_bytes"]
    assert (told.profile, told.device) == ("6.00 GiB", "3.20 GiB")
    assert "not the device" in told.matters


def test_a_device_that_hides_its_memory_or_runs_no_code_of_ours_has_no_profile() -> None:
    with pytest.raises(errors.UnavailableError, match="memory"):
        profile_of(replace(jetson(), memory_total_bytes=None), "x")
    with pytest.raises(errors.UnsupportedError, match="riscv64"):
        profile_of(replace(jetson(), architecture="riscv64"), "x")


def test_cores_are_counted_as_the_runtime_counts_them() -> None:
    told = """
== uname
Linux
6
x86_64
== cpus
0 4000000 - 0,2
1 4000000 - 1,3
2 4000000 - 0,2
3 4000000 - 1,3
4 1900000 - 4
== online
5
"""
    assert parse(told + "== end\n", "x").performance_cores == 2
    limited = parse(told + "== cgroup-cpu\n100000 100000\n== end\n", "x")
    assert limited.performance_cores == 1
