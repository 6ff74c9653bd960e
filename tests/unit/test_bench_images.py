"""What bench tells of an image model, and the size and steps it is asked for."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from sphere_edge.bench import runs_report
from sphere_edge.bench.images import ImageMeasurement, ImageRun
from sphere_edge.bench.plan import Options
from sphere_edge.bundle.manifest import Memory
from sphere_edge.errors import InvalidArgumentError

MIB = 2**20


def painted(step_seconds: float, peak_mib: int) -> ImageRun:
    return ImageRun(
        family="sd1",
        quantization="q8_0",
        threads=2,
        width=512,
        height=256,
        steps=4,
        load_seconds=0.5,
        total_seconds=5 * step_seconds,
        step_seconds=step_seconds,
        peak_rss_bytes=peak_mib * MIB,
    )


MEASURED = ImageMeasurement(
    model="fox | box",
    bundle_id="0123",
    device="ssh://board",
    samples=(painted(3.0, 90), painted(1.0, 100), painted(2.0, 80)),
    predicted=Memory(
        weights_bytes=60 * MIB,
        kv_cache_bytes=0,
        workspace_bytes=30 * MIB,
        peak_bytes=120 * MIB,
    ),
)


def test_times_are_medians_and_memory_is_the_most(tmp_path: Path) -> None:
    runs_report.write(MEASURED.for_report(), tmp_path / "bench.json")
    told = json.loads((tmp_path / "bench.json").read_text())
    assert (told["task"], told["seconds_per_step"], told["total_seconds"]) == ("image", 2.0, 10.0)
    assert (told["peak_rss_bytes"], told["predicted"]["peak_bytes"]) == (100 * MIB, 120 * MIB)
    assert (told["width"], told["height"], len(told["samples"])) == (512, 256, 3)


def test_tables_have_a_row_per_figure_and_a_line_per_picture(tmp_path: Path) -> None:
    runs_report.write(MEASURED.for_report(), tmp_path / "bench.md")
    text = (tmp_path / "bench.md").read_text()
    assert "| seconds per step | 2.000 |" in text
    assert "sd1 q8_0 by the diffusion engine, 2 threads, 512x256 in 4 steps" in text
    runs_report.write(MEASURED.for_report(), tmp_path / "bench.csv")
    with (tmp_path / "bench.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["step_seconds"] for line in lines] == ["3.0", "1.0", "2.0"]


def test_the_page_shows_step_total_and_memory_with_a_plot(tmp_path: Path) -> None:
    runs_report.write(MEASURED.for_report(), tmp_path / "bench.html")
    page = (tmp_path / "bench.html").read_text()
    assert "83% of predicted" in page
    assert "fox | box" in page
    drawing = page[page.index("<svg") : page.index("</svg>") + 6]
    assert "seconds per step: 2.000" in ElementTree.fromstring(drawing).attrib["aria-label"]


def test_a_size_is_two_numbers() -> None:
    plan = Options(repeat=3, image_size="512x256", steps=4).image_plan()
    assert plan.words() == ["--width", "512", "--height", "256", "--steps", "4"]
    assert Options(repeat=3, threads=2).image_plan().words() == ["--threads", "2"]
    with pytest.raises(InvalidArgumentError, match="invalid value `512` for --image-size"):
        Options(image_size="512").image_plan()
