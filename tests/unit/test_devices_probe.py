"""Answers of real kinds of devices, and hostile ones, read into a Probe."""

from __future__ import annotations

import random

import pytest

from sphere_edge import errors
from sphere_edge.devices.probe import Cluster, parse
from sphere_edge.devices.sensors import Sensor

PHONE = """
== uname
Linux
5.15.110-android14-11
aarch64
== getprop
ro.build.version.release=14
ro.build.version.sdk=34
ro.product.manufacturer=Google
ro.product.model=Pixel 8
ro.product.cpu.abi=arm64-v8a
ro.soc.manufacturer=Google
ro.soc.model=Tensor G3
ro.hardware.egl=mali
ro.hardware.vulkan=mali
== libc
/system/bin/linker64
== cpuinfo
processor : 0
Features : fp asimd asimdhp fphp asimddp
CPU part : 0xd46
processor : 8
Features : fp asimd asimdhp fphp asimddp
CPU part : 0xd4e
== auxv
  0000000000000006 0000000000001000
  0000000000000010 0000000000100402
  000000000000001a 0000000000002000
== cpus
0 1704000 250
1 1704000 250
4 2367000 800
8 2914000 1024
== online
9
== meminfo
MemTotal:        7764352 kB
MemAvailable:    3145728 kB
== storage
Filesystem 1024-blocks Used Available Capacity Mounted on
/dev/block/dm-52 113000000 50000000 62000000 45% /data
== gpu
/sys/class/misc/mali0/device/gpuinfo=Mali-G715 7 cores r1p2 0xB8A21014
== sensors
sensor temperature 31200 /sys/class/thermal/thermal_zone0/temp BIG
sensor battery_current -412000 /sys/class/power_supply/battery/current_now battery
sensor battery_voltage  /sys/class/power_supply/none/voltage_now none
== end
"""

JETSON = """
== uname
Linux
5.15.136-tegra
aarch64
== os-release
PRETTY_NAME="Ubuntu 22.04.4 LTS"
== libc
glibc 2.35
== cpuinfo
processor : 0
Features : fp asimd asimdhp fphp asimddp
CPU part : 0xd42
== cpus
0 1510400 -
1 1510400 -
== online
6
== meminfo
MemTotal: 7800000 kB
MemAvailable: 5000000 kB
== page
4096
== device-tree
NVIDIA Jetson Orin Nano Developer Kit
nvidia,p3768-0000+p3767-0005
nvidia,tegra234
== tegra
# R36 (release), REVISION: 3.0, GCID: 36923193, BOARD: generic
== gpu
/dev/nvgpu
== end
"""


def test_a_phone_is_read() -> None:
    found = parse(PHONE, "adb:x")
    assert (found.os, found.os_release, found.libc) == ("android", "Android 14", "bionic")
    assert (found.model, found.soc) == ("Google Pixel 8", "Google Tensor G3")
    assert found.cpu_model == "Cortex-X3 + Cortex-A510"
    assert found.cpu_features == ("neon", "fp16", "dotprod", "i8mm")
    assert found.clusters == (Cluster(1, 2914), Cluster(1, 2367), Cluster(2, 1704))
    assert found.cores == 9
    assert found.memory_total_bytes == 7764352 * 1024
    assert found.memory_available_bytes == 3 * 2**30
    assert found.storage_free_bytes == 62_000_000 * 1024
    assert found.page_bytes == 4096
    assert found.gpu == "Mali-G715 7 cores r1p2 0xB8A21014"
    assert found.gpu_driver == "mali"
    # A sensor that answers with nothing is not there.
    assert found.sensors == (
        Sensor("temperature", "BIG", "/sys/class/thermal/thermal_zone0/temp"),
        Sensor("battery_current", "battery", "/sys/class/power_supply/battery/current_now"),
    )


def test_a_jetson_is_read() -> None:
    found = parse(JETSON, "ssh://orin")
    assert (found.os, found.os_release, found.libc) == ("linux", "Ubuntu 22.04.4 LTS", "gnu")
    assert found.model == "NVIDIA Jetson Orin Nano Developer Kit"
    assert found.soc == "nvidia,tegra234"
    assert found.cpu_features == ("neon", "dotprod", "fp16")
    assert found.gpu == "NVIDIA Tegra"
    assert found.gpu_driver is not None
    assert found.gpu_driver.startswith("L4T R36")
    assert found.sensors == ()


def test_memory_is_that_of_the_container() -> None:
    limited = PHONE.replace("== storage", "== cgroup\n2147483648\n1073741824\n== storage")
    found = parse(limited, "adb:x")
    assert found.memory_total_bytes == 2 * 2**30
    assert found.memory_available_bytes == 2**30


def test_no_answer_is_unavailable() -> None:
    for text in ("", "Welcome!", PHONE.replace("== end", "")):
        with pytest.raises(errors.UnavailableError):
            parse(text, "x")


def test_an_unknown_system_is_unsupported() -> None:
    with pytest.raises(errors.UnsupportedError, match="FreeBSD"):
        parse("== uname\nFreeBSD\n13\namd64\n== end\n", "x")


def test_an_answer_full_of_escapes_is_made_plain() -> None:
    told = PHONE.replace("Pixel 8", "\x1b[31mPixel\x07 8" + "!" * 500)
    model = parse(told, "x").model
    assert model is not None
    assert model.isprintable()
    assert len(model) <= 120


def test_a_later_section_cannot_replace_an_earlier_one() -> None:
    with_fake = parse(PHONE + "\n== meminfo\nMemTotal: 999 kB\n", "x")
    assert with_fake.memory_total_bytes == 7764352 * 1024


def test_damaged_answers_never_raise_anything_but_our_errors() -> None:
    chance = random.Random(7)
    for _ in range(300):
        text = list(PHONE + JETSON)
        for _ in range(chance.randrange(1, 60)):
            at = chance.randrange(len(text))
            text[at] = chance.choice(["\0", "\n", "9" * 40, "=", "%", ":", "\udcff", "- ", ""])
        try:
            parse("".join(text) + "\n== end\n", "x")
        except errors.SphereEdgeError:
            continue


@pytest.mark.parametrize(
    ("told", "free"),
    [("7421", 7421 * 2**20), ("[N/A]", None), ("", None), ("-1", None), ("9" * 18, None)],
)
def test_free_memory_of_a_graphics_card_is_read_where_one_tells(
    told: str, free: int | None
) -> None:
    found = parse(f"== uname\nLinux\n6\nx86_64\n== gpu memory\n{told}\n== end\n", "x")
    assert found.gpu_memory_available_bytes == free
