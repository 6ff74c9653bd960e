"""Device profiles are complete, sourced, found by name, and the host is probed as it is."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from sphere_edge import profiles
from sphere_edge.errors import InvalidArgumentError, NotFoundError
from sphere_edge.profiles import host_probe, toml_file
from sphere_edge.toolchain import targets

CATALOGUE = Path(__file__).parents[2] / "device_profiles"
# Says everything itself: its chip is in no other device of the catalogue.
BOARD = CATALOGUE / "rk3588.toml"


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_can_be_loaded(name: str) -> None:
    profile = profiles.load(name)
    assert profile.name == name
    assert profile.memory.usable_bytes < profile.memory.total_bytes


@pytest.mark.parametrize("name", [name for name in profiles.names() if name != "host"])
def test_every_source_belongs_to_a_figure(name: str) -> None:
    profile = profiles.load(name)
    for figure in profile.sources:
        value = profile
        for field in figure.split("."):
            value = getattr(value, field)
        assert value is not None, figure


def test_a_file_of_ones_own_is_a_profile_too(tmp_path: Path) -> None:
    mine = tmp_path / "my-board.toml"
    mine.write_text(BOARD.read_text().replace('name = "rk3588"', 'name = "my-board"'))
    assert profiles.load(str(mine)).name == "my-board"
    with pytest.raises(NotFoundError, match=r"no-board\.toml"):
        profiles.load(str(tmp_path / "no-board.toml"))


def test_a_typo_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(NotFoundError, match="`pixel9000`") as caught:
        profiles.load("pixel9000")
    assert set((caught.value.hint or "")[len("choose one of: ") :].split(", ")) <= {
        *("pixel7", "pixel8", "pixel9", "pixel10"),
    }


def test_a_name_like_no_other_is_answered_with_all_names() -> None:
    with pytest.raises(NotFoundError) as caught:
        profiles.load("zzz")
    assert all(name in (caught.value.hint or "") for name in profiles.names())


@pytest.mark.parametrize("name", ["../pyproject", "/etc/passwd", "", "pixel8.toml"])
def test_a_profile_name_is_never_a_path(name: str) -> None:
    with pytest.raises(NotFoundError):
        profiles.load(name)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"fp16"', '"avx1024"', "cpu.features.2"),
        ("performance_cores = 4", "performance_cores = 0", "cpu.performance_cores"),
        ('usable_bytes = "6 GiB"', 'usable_bytes = "9 GiB"', "more than total"),
        ('total_bytes = "8 GiB"', 'total_bytes = "lots"', "memory.total_bytes"),
        ("name = ", "nome = ", "nome"),
        ("[gpu]", "[gpu", "not a TOML"),
        ('\ngpu = "', '\ntpu = "', "no source for gpu.api"),
        ("group_threads = 1024", "group_threads = 0", "gpu.limits.group_threads"),
        ('name = "rk3588"', 'name = "pixel9"', "file and name"),
        ('api = "opencl"', 'api = "vulkan"\ntextures = true', "textures are read through OpenCL"),
        ("[gpu.limits]", "textures = true\n[gpu.limits]\nimages = false", "that has images"),
    ],
)
def test_a_wrong_profile_is_refused_with_the_field(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    path = tmp_path / "rk3588.toml"
    path.write_text(BOARD.read_text().replace(old, new, 1))
    with pytest.raises(InvalidArgumentError, match=complaint):
        profiles.read(path)


def test_a_shared_chip_gives_what_the_profile_does_not_say(tmp_path: Path) -> None:
    text = """
name = "phone"
title = "A phone"
soc = "tensor-g4"
os = "android"
triple = "aarch64-linux-android28"

[cpu]
performance_cores = 1

[memory]
total_bytes = "8 GiB"
usable_bytes = "4 GiB"

[sources]
"cpu.performance_cores" = "told by a friend"
memory = "told by a friend"
"""
    profile = profiles.parse(text, "phone.toml")
    assert profile.soc == "Google Tensor G4"
    assert profile.cpu.performance_cores == 1
    assert "i8mm" in profile.cpu.features
    assert profile.gpu is not None
    assert profile.gpu.name == "Mali-G715 MC7"
    assert profile.sources["cpu.performance_cores"] == "told by a friend"
    assert "cortex-x4" in profile.sources["cpu.features"]
    # An unknown chip is only a name, and never a path.
    with pytest.raises(InvalidArgumentError, match="cpu.features"):
        profiles.parse(text.replace("tensor-g4", "../socs/tensor-g4"), "phone.toml")


def test_a_profile_may_add_to_the_limits_of_its_chips_gpu(tmp_path: Path) -> None:
    text = (CATALOGUE / "pixel9.toml").read_text()
    told = '[gpu.limits]\nallocation_bytes = "3 GiB"\n\n[sources]\n'
    gpu = profiles.parse(text.replace("[sources]\n", told), "pixel9.toml").gpu
    assert gpu is not None
    assert gpu.limits.allocation_bytes == 3 << 30
    assert gpu.limits.group_threads == 1024


def test_each_figure_has_the_source_that_stands_nearest() -> None:
    profile = profiles.load("pixel8")
    assert "gpuinfo" in (profile.source("gpu.limits.images") or "")
    assert "Android Authority" in (profile.source("gpu.api") or "")
    assert profile.source("os") is None


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("pixel8", "Android API 28"),
        ("iphone13", "iOS 15.0"),
        ("mac-m1", "macOS 13.0"),
    ],
)
def test_the_oldest_system_is_the_one_that_code_is_made_for(name: str, system: str) -> None:
    assert profiles.load(name).oldest_system == system


@pytest.mark.parametrize("name", ["raspberry-pi-5", "generic-x86-64-v3"])
def test_the_oldest_glibc_is_that_of_the_runtime(name: str) -> None:
    profile = profiles.load(name)
    made_for = targets.for_profile(profile).triple or ""
    assert made_for.endswith("gnu." + profile.oldest_system.removeprefix("glibc "))


def test_the_catalogue_knows_thirty_devices_and_each_shared_chip_is_used() -> None:
    assert len(profiles.names()) > 30
    text = "".join(path.read_text() for path in CATALOGUE.glob("*.toml"))
    for chip in (CATALOGUE / "socs").glob("*.toml"):
        assert f'soc = "{chip.stem}"' in text


@pytest.mark.parametrize("name", profiles.names())
def test_a_profile_survives_being_written(name: str) -> None:
    profile = profiles.load(name)
    assert profiles.parse(toml_file.render(profile), f"{name}.toml") == profile


def test_sizes_may_be_written_with_units(tmp_path: Path) -> None:
    assert profiles.read(BOARD).memory.total_bytes == 8 * 2**30


def test_cpu_features_are_those_that_every_core_has() -> None:
    cpuinfo = "processor: 0\nFeatures: fp asimd asimddp i8mm\n\nprocessor: 1\nFeatures: fp asimd\n"
    assert host_probe.linux_cpu(cpuinfo, arm=True)[1] == ("neon",)
    x86 = "model name : A CPU\nflags : avx2 fma f16c avx512f avx512bw avx512vl avx512dq avx512_vnni"
    title, features = host_probe.linux_cpu(x86, arm=False)
    assert title == "A CPU"
    assert set(features) == {"avx2", "fma", "f16c", "avx512vnni"}
    assert "avx512vnni" not in host_probe.linux_cpu(x86.replace("avx512vl", ""), arm=False)[1]


@pytest.mark.skipif(platform.system() != "Linux", reason="CPU affinity is a Linux thing")
def test_only_cores_this_process_may_use_are_counted() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert host_probe.performance_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_small_cores_and_second_threads_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two fast cores of two threads each, and four slow cores.
    allowed = range(8)
    for cpu in allowed:
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text("0\n")
        (topology / "core_id").write_text(f"{cpu // 2 if cpu < 4 else cpu}\n")
        (tmp_path / f"cpu{cpu}" / "cpu_capacity").write_text("1024\n" if cpu < 4 else "280\n")
    monkeypatch.setattr(host_probe, "_CPUS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(allowed), raising=False)
    monkeypatch.setattr(host_probe, "_CGROUP", tmp_path)
    (tmp_path / "cpu.max").write_text("800000 100000\n")
    assert host_probe.performance_cores() == 2
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert host_probe.performance_cores() == 1


def test_a_container_limit_counts_as_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_probe, "_CGROUP", tmp_path)
    whole = host_probe.memory_bytes()
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert host_probe.memory_bytes() == 2**30 < whole
    (tmp_path / "memory.max").write_text("max\n")
    assert host_probe.memory_bytes() == whole
