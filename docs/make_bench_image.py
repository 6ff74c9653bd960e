"""Makes docs/images/bench-report.png: `python docs/make_bench_image.py`, with Chromium installed.

The built-in model is measured on this machine, on one thread; the sensors are files that a
thread writes like those of a board that gets warm and throttles, because machines in data
centers have none.
"""

from __future__ import annotations

import math
import subprocess
import tempfile
import threading
from pathlib import Path

from sphere_edge import packaging, profiles
from sphere_edge.bench import report
from sphere_edge.bench.plan import Plan
from sphere_edge.bench.text import measure
from sphere_edge.devices.local import LocalDevice
from sphere_edge.engines.options import PackageOptions

OUT = Path(__file__).parent / "images" / "bench-report.png"
WIDTH, HEIGHT = 1000, 2600
PLAN = Plan((128, 512), 64, repeat=5, threads=1, sustain_s=40)
_CLOCK = "devices/system/cpu/cpufreq/policy0"
_STILL = {
    "class/thermal/thermal_zone0/type": "cpu-thermal",
    "class/thermal/thermal_zone1/type": "gpu-thermal",
    "class/hwmon/hwmon0/name": "ina3221",
    "class/hwmon/hwmon0/in1_label": "VDD_IN",
    "class/hwmon/hwmon0/in1_input": "5000",
    f"{_CLOCK}/cpuinfo_max_freq": "2400000",
    f"{_CLOCK}/scaling_governor": "schedutil",
}


def main() -> None:
    """Measures, writes the page, takes a screenshot of it."""
    with tempfile.TemporaryDirectory() as folder:
        work, stop = Path(folder), threading.Event()
        writer = threading.Thread(target=write_sensors, args=(work / "sys", stop))
        packaging.package(
            packaging.find(packaging.TINY), profiles.host(), PackageOptions(), work / "tiny.host"
        )
        still = {**_STILL, **moment(0)}
        for path, content in still.items():
            (work / "sys" / path).parent.mkdir(parents=True, exist_ok=True)
            (work / "sys" / path).write_text(f"{content}\n", "utf-8")
        writer.start()
        try:
            measured = measure(LocalDevice(), work / "tiny.host", PLAN, sysfs=str(work / "sys"))
        finally:
            stop.set()
            writer.join()
        report.write(measured, work / "bench.html")
        screenshot(work / "bench.html")


def moment(second: float) -> dict[str, object]:
    """The sensor files of a board `second` seconds after its start: warm after half a minute."""
    heat = 38 + 44 * (1 - math.exp(-second / 20))
    limit = 2_400_000 if heat < 72 else 1_800_000
    return {
        "class/thermal/thermal_zone0/temp": round(heat * 1000),
        "class/thermal/thermal_zone1/temp": round((heat - 6) * 1000),
        "class/hwmon/hwmon0/curr1_input": round(900 + 700 * limit / 2_400_000),
        f"{_CLOCK}/scaling_cur_freq": limit,
        f"{_CLOCK}/scaling_max_freq": limit,
    }


def write_sensors(folder: Path, stop: threading.Event) -> None:
    """Rewrites the files twice per second."""
    second = 0.0
    while not stop.wait(0.5):
        second += 0.5
        for path, content in moment(second).items():
            (folder / path).write_text(f"{content}\n", "utf-8")


def screenshot(page: Path) -> None:
    """The page as Chromium renders it."""
    words = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"]
    words += [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={OUT}", page.as_uri()]
    subprocess.run(words, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    main()
