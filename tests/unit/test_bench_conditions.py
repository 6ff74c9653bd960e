"""What sensors say of a measurement, and what is not said where they say nothing."""

from __future__ import annotations

import pytest

from sphere_edge.bench import conditions, power
from sphere_edge.bench.measurement import Conditions, Track
from sphere_edge.devices.sensors import Sensor, parse
from tests.measurements import sensors, sustained, track

# Eight readings; the program measured from second 1.5 to 5.5.
RISING = [40.0, 41.0, 50.0, 60.0, 70.0, 65.0, 60.0, 55.0]


def summary(*tracks: Track, seconds: int | None = None) -> Conditions:
    return conditions.summarize(sensors(*tracks, seconds=seconds), (), 64)


def test_nothing_is_known_without_sensors() -> None:
    found = summary(seconds=8)
    assert found == Conditions()
    assert (found.processor, found.power, found.throttled) == (None, None, None)


def test_heat_has_a_before_a_most_and_an_after() -> None:
    found = summary(
        track("temperature", RISING, name="cpu-thermal"),
        track("temperature", [value + 20 for value in RISING], name="gpu-thermal"),
        track("battery_temperature", [90.0] * 8, name="battery"),
    )
    assert found.processor is not None
    assert found.processor.name == "cpu-thermal"
    assert (found.processor.before, found.processor.most, found.processor.after) == (41, 70, 55)
    assert len(found.temperatures) == 3


def test_where_no_name_tells_the_hottest_but_the_battery_counts() -> None:
    found = summary(
        track("temperature", RISING, name="zone3"),
        track("battery_temperature", [90.0] * 8, name="battery"),
    )
    assert found.processor is not None
    assert found.processor.name == "zone3"


def test_a_limit_that_falls_while_it_runs_is_throttling_and_one_from_the_start_is_not() -> None:
    falling = track("clock_limit", [2400.0, 2400, 2400, 2000, 1800, 1800, 1800, 2400])
    found = summary(falling)
    assert found.throttled is True
    assert found.throttling == ("clock_limit: limited to 1800 MHz, 2400 MHz before",)
    capped = summary(track("clock_limit", [1800.0] * 8))
    assert capped.throttled is False


def test_a_cooling_device_on_the_processor_tells_and_a_fan_does_not() -> None:
    levels: list[float | None] = [0, 0, 0, 2, 3, 3, 1, 0]
    assert summary(track("cooling", levels, name="cpufreq-cpu0")).throttled is True
    assert summary(track("cooling", levels, name="pwm-fan")).throttled is None


def test_counters_and_flags_of_throttling_are_read() -> None:
    counted = summary(track("throttled_times", [7, 7, 7, 8, 9, 9, 9, 9], name="cpu0"))
    assert counted.throttling == ("cpu0: times throttled 7 → 9",)
    flags = summary(track("throttled_flags", [0, 0, 0, 5, 0, 0, 0, 0], name="pi"))
    assert flags.throttling == ("pi: under-voltage", "pi: throttled")
    # What happened before this run (bits 16 and up) is not this run's.
    past = summary(track("throttled_flags", [0x50000] * 8, name="pi"))
    assert past.throttled is False


def test_a_clock_that_falls_in_a_long_run_is_throttling() -> None:
    clock: list[float | None] = [1000.0, 1000.0, *[2000.0] * 40, *[1600.0] * 40, 1000, 1000]
    found = summary(track("clock", clock, name="policy4"))
    assert found.throttling == ("policy4: clock fell from 2000 to 1600 MHz",)
    assert summary(track("clock", clock[:20], name="policy4")).throttled is None


def rail(
    name: str, volts: float, amperes: float, *, number: int = 1, count: int = 8
) -> tuple[Track, Track]:
    folder = "/sys/class/hwmon/hwmon3"
    return (
        track("voltage", [volts] * count, name=name, path=f"{folder}/in{number}_input"),
        track("current", [amperes] * count, name=name, path=f"{folder}/curr{number}_input"),
    )


def test_power_is_that_of_the_rail_behind_which_everything_lies() -> None:
    found = summary(*rail("VDD_IN", 5, 1.5), *rail("VDD_CPU_GPU_CV", 5, 0.5, number=2))
    assert found.power is not None
    assert found.power.source == "VDD_IN, the whole board"
    assert (found.power.mean_w, found.power.idle_w) == (pytest.approx(7.5), pytest.approx(7.5))
    assert found.power.energy_j == pytest.approx(7.5 * 4)


def test_rails_of_which_none_is_the_whole_board_are_not_added_up() -> None:
    found = summary(*rail("VDD_CPU", 5, 1.5))
    assert found.power is None
    assert found.power_note is not None
    assert "VDD_CPU" in found.power_note


def battery(status: str) -> list[Track]:
    return [
        track("battery_current", [-0.5] * 8),
        track("battery_voltage", [4.0] * 8),
        track("battery_status", [], words=[status] * 8),
    ]


def test_a_battery_tells_the_power_only_while_it_gives_it() -> None:
    found = summary(*battery("Discharging"))
    assert found.power is not None
    assert found.power.mean_w == pytest.approx(2.0)
    charging = summary(*battery("Charging"))
    assert charging.power is None
    assert charging.power_note is not None
    assert "Charging" in charging.power_note
    unknown = summary(*battery("Charging")[:2])
    assert unknown.power is None


def test_an_energy_counter_that_wraps_is_left_out_there() -> None:
    counted = track("energy", [100.0, 110, 120, 130, 0, 10, 20, 30, 40, 50], name="package-0")
    found = summary(counted)
    assert found.power is not None
    assert found.power.mean_w == pytest.approx(10)
    assert found.power.source == "package-0, the processor only"


def test_energy_is_the_area_under_the_power_between_two_moments() -> None:
    curve = [(float(second), float(second)) for second in range(10)]
    assert power.energy(curve, 2.5, 7.5) == pytest.approx((7.5**2 - 2.5**2) / 2)
    assert power.energy(curve, 2.5, 4.5) is None


def test_a_token_costs_what_the_answers_took() -> None:
    told = sensors(*rail("VDD_IN", 5, 1, count=12))
    found = conditions.summarize(told, sustained(6), new_tokens=10)
    assert found.power is not None
    # 5 W from second 2 to 8, for 6 answers of 10 tokens.
    assert found.power.joules_per_token == pytest.approx(30 / 60)
    # Two readings are no curve.
    short = conditions.summarize(told, sustained(3), new_tokens=10)
    assert short.power is not None
    assert short.power.joules_per_token is None


def test_readings_are_in_units_and_impossible_ones_are_none() -> None:
    heat = Sensor("temperature", "x", "/x")
    assert heat.reading("45200") == pytest.approx(45.2)
    assert heat.reading("45") == 45.0
    for word in ("-274000", "0", "2147483647", "", "-", "45.2", "1e3", "0x10", "٤٥"):
        assert heat.reading(word) is None
    assert Sensor("battery_temperature", "x", "/x").reading("312") == pytest.approx(31.2)
    assert Sensor("battery_voltage", "x", "/x").reading("3850000") == pytest.approx(3.85)
    assert Sensor("throttled_flags", "x", "/x").reading("50005") == 0x50005
    assert Sensor("governor", "x", "/x").word("schedutil") == "schedutil"
    assert Sensor("governor", "x", "/x").word("$(reboot)") is None


def test_sensors_with_odd_files_are_not_taken() -> None:
    lines = [
        "sensor temperature 40000 /sys/a/temp cpu \x1b[31m thermal",
        "sensor temperature 40000 /sys/a/temp twice",
        "sensor temperature 40000 /sys/a/$(reboot) x",
        "sensor temperature 40000 relative x",
        "sensor temperature 40000 /sys/../../etc/shadow x",
        "sensor nonsense 1 /sys/b x",
        "sensor temperature hot /sys/c x",
        "sensor",
        "",
    ]
    assert [(one.name, one.path) for one in parse(lines)] == [("cpu [31m thermal", "/sys/a/temp")]
