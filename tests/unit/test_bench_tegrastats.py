"""Lines of NVIDIA's tegrastats become rails, temperatures and the GPU, and nothing impossible."""

from __future__ import annotations

import random

import pytest

from sphere_edge.bench import conditions, tegrastats
from sphere_edge.bench.measurement import Sensors

ORIN = (
    "11-21-2026 12:00:01 RAM 2448/7620MB (lfb 4x4MB) SWAP 0/3810MB (cached 0MB) "
    "CPU [5%@729,0%@729,off,off,12%@1510,0%@729] EMC_FREQ 0%@2133 GR3D_FREQ 37%@[611] "
    "NVDEC off NVJPG off APE 174 cpu@45.562C soc2@44.75C gpu@-256C tj@46.75C "
    "VDD_IN 4584mW/4500mW VDD_CPU_GPU_CV 534mW/530mW VDD_SOC 1371mW/1370mW"
)
NANO = (
    "RAM 1834/3964MB (lfb 120x4MB) SWAP 0/1982MB (cached 0MB) IRAM 0/252kB(lfb 252kB) "
    "CPU [12%@1479,5%@1479,3%@1479,4%@1479] EMC_FREQ 1%@1600 GR3D_FREQ 12%@921 APE 25 "
    "PLL@25C CPU@26.5C PMIC@100C GPU@25C AO@32C thermal@26.25C "
    "POM_5V_IN 1834/1800 POM_5V_GPU 40/40 POM_5V_CPU 240/238"
)


def test_a_line_of_a_newer_board_is_read() -> None:
    assert tegrastats.parse(ORIN) == {
        ("milliwatts", "VDD_IN"): 4.584,
        ("milliwatts", "VDD_CPU_GPU_CV"): 0.534,
        ("milliwatts", "VDD_SOC"): 1.371,
        ("temperature", "cpu"): 45.562,
        ("temperature", "soc2"): 44.75,
        ("temperature", "tj"): 46.75,
        ("gpu_load", "GR3D"): 37,
        ("gpu_clock", "GR3D"): 611,
    }


def test_a_line_of_an_older_board_is_read() -> None:
    told = tegrastats.parse(NANO)
    assert told["milliwatts", "POM_5V_IN"] == 1.834
    assert told["gpu_clock", "GR3D"] == 921
    assert ("milliwatts", "RAM") not in told


def test_a_value_holds_for_a_moment_only_and_files_come_first() -> None:
    lines = [(10.0, ORIN), (11.0, ORIN.replace("4584", "9000"))]
    found = tegrastats.tracks(lines, [9.5, 10.2, 11.0, 13.0, 20.0])
    watts = next(one for one in found if one.name == "VDD_IN")
    assert watts.values == (None, 4.584, 9.0, 9.0, None)
    known = tegrastats.tracks(lines, [10.2], known={"current", "temperature"})
    assert {one.kind for one in known} == {"gpu_clock", "gpu_load"}


def test_its_whole_board_rail_is_the_power_and_its_gpu_has_a_clock() -> None:
    lines = [(float(second), ORIN) for second in range(8)]
    at = tuple(float(second) for second in range(8))
    sensors = Sensors(
        interval_s=1,
        at_s=at,
        started_s=1.5,
        ended_s=6.5,
        resident_bytes=(None,) * 8,
        tracks=tuple(tegrastats.tracks(lines, at)),
    )
    found = conditions.summarize(sensors, (), 64)
    assert found.power is not None
    assert found.power.source == "VDD_IN, the whole board"
    assert found.power.mean_w == pytest.approx(4.584)
    assert [(one.name, one.median) for one in found.clocks] == [("GPU GR3D", 611)]
    assert found.processor is not None
    assert found.processor.name == "tj"


def test_noise_is_nothing() -> None:
    chance = random.Random(1)
    for _ in range(300):
        cut = list(ORIN)
        for _ in range(8):
            cut[chance.randrange(len(cut))] = chr(chance.randrange(32, 127))
        told = tegrastats.parse("".join(cut[: chance.randrange(len(cut))]))
        assert all(-40 <= value <= 1e6 for value in told.values())
