"""A measurement keeps its samples and reads the same in every format."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from sphere_edge.bench import measurement, report, report_file
from sphere_edge.bench.measurement import Series
from sphere_edge.bench.plan import seconds
from sphere_edge.bench.text import upper_bounds
from sphere_edge.bundle.read import Bundle
from sphere_edge.errors import FormatMismatchError, InvalidArgumentError, NotFoundError
from tests.measurements import measured, sensors, sustained, track

GOLDEN = Path(__file__).parent.parent / "data" / "golden.bundle"
HEATED = sensors(
    track("temperature", [40.0, 41, 50, 60, None, 62, 61, 55], name="cpu <thermal>"),
    track("clock", [1000.0, 1000, 2000, 2000, 1900, 1800, 2000, 1000], name="policy0"),
)
CASES: list[dict[str, Any]] = [
    {},
    {"memory": measurement.Memory(loaded_rss_bytes=1, peak_rss_bytes=2**20)},
    {"sensors": HEATED, "sustained": sustained(4)},
]


def test_the_median_is_in_the_middle_and_percentiles_between_samples() -> None:
    one = Series(name="decode", unit="tokens/s", samples=(4.0, 1.0, 3.0, 2.0))
    assert one.median == 2.5
    assert one.p10 == pytest.approx(1.3)
    assert measurement.percentile([7.0], 90) == 7.0
    assert (measurement.percentile([3, 1], 0), measurement.percentile([3, 1], 100)) == (1, 3)


@pytest.mark.parametrize("changes", CASES)
def test_json_is_read_back_as_it_was_with_every_sample(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    report.write(measured(**changes), tmp_path / "bench.json")
    assert measurement.read(tmp_path / "bench.json") == measured(**changes)
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["series"][0]["samples"] == [100.0, 300.0, 200.0]
    assert found["series"][0]["median"] == 200.0


def test_markdown_shows_predicted_beside_measured(tmp_path: Path) -> None:
    report.write(measured(), tmp_path / "bench.md")
    text = (tmp_path / "bench.md").read_text()
    assert "| prefill 128 | 200 | 120 | 280 | - | tokens/s | 3 |" in text
    assert "| peak | 32.0 MiB | 50.0 MiB |" in text
    # A sensor that is missing is never a zero.
    assert "| temperature | not available |" in text
    assert "| energy | not available |" in text


def test_the_most_that_the_device_could_do_stands_beside_what_was_measured(tmp_path: Path) -> None:
    bounds = measurement.UpperBounds(prefill=1234.0)
    report.write(measured(upper_bounds=bounds, sustained=sustained(2)), tmp_path / "bench.md")
    text = (tmp_path / "bench.md").read_text()
    assert "| prefill 128 | 200 | 120 | 280 | 1,234 | tokens/s | 3 |" in text
    assert "| sustained prefill | 200 | 200 | 200 | 1,234 | tokens/s | 2 |" in text
    assert "| decode 64 | 50.0 | 50.0 | 50.0 | - | tokens/s | 1 |" in text


def test_the_bounds_are_those_of_the_profile_that_the_bundle_was_made_for() -> None:
    manifest = Bundle.open(GOLDEN).manifest
    assert upper_bounds(manifest) == measurement.UpperBounds()
    laptop = manifest.model_copy(update={"profile": "snapdragon-x-elite"})
    memory = manifest.memory
    moved = memory.weights_bytes + memory.kv_cache_bytes / 2
    assert upper_bounds(laptop).decode == 136e9 / moved
    assert upper_bounds(manifest.model_copy(update={"profile": "mine"})) == upper_bounds(None)
    # Of a mixture each token reads only some weights.
    for family in ("qwen3_moe", "gpt_oss", "gpt-oss"):
        assert upper_bounds(laptop.model_copy(update={"family": family})) == upper_bounds(None)


def test_csv_has_a_line_per_sample_and_no_formulas() -> None:
    text = report.comma_separated(measured(model="=cmd()", sensors=HEATED))
    rows = list(csv.DictReader(io.StringIO(text)))
    prefill = [row for row in rows if row["name"] == "prefill"]
    assert [float(row["value"]) for row in prefill] == [100.0, 300.0, 200.0]
    assert {row["model"] for row in rows} == {"'=cmd()"}
    heat = [row["value"] for row in rows if row["kind"] == "temperature"]
    assert heat[4] == ""
    assert len(heat) == 8


@pytest.mark.parametrize("changes", CASES)
def test_html_is_one_file_with_its_plots_and_nothing_from_elsewhere(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    report.write(measured(**changes), tmp_path / "bench.html")
    text = (tmp_path / "bench.html").read_text()
    assert "<b>&" not in text
    assert "<thermal>" not in text
    assert "tiny &lt;b&gt;&amp;" in text
    drawings = [f"<svg{part.partition('</svg>')[0]}</svg>" for part in text.split("<svg")[1:]]
    assert len(drawings) == 3
    for drawing in drawings:
        ElementTree.fromstring(drawing)
        assert 'role="img"' in drawing
        # The page's own colours, so that dark mode reaches the plots.
        assert "#0102" not in drawing
        assert "#0103" not in drawing
        text = text.replace(drawing, "")
    for place in ("http", "<script", "@import", "url("):
        assert place not in text


def test_the_same_measurement_gives_the_same_report(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        report.write(measured(sensors=HEATED), tmp_path / name)
    assert (tmp_path / "a.html").read_text() == (tmp_path / "b.html").read_text()


def test_an_unknown_report_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"bench\.pdf"):
        report_file.check(Path("bench.pdf"))
    with pytest.raises(InvalidArgumentError, match="folder"):
        report_file.check(tmp_path / "missing" / "bench.html")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"schema_version": 3}',
        "[" * 100_000,
        json.dumps({**measured().as_json(), "series": [{"name": "decode", "samples": []}]}),
        json.dumps({**measured().as_json(), "threads": "many"}),
        json.dumps(measured(sensors=HEATED).as_json()).replace("[40.0, ", "["),
    ],
)
def test_a_file_that_is_not_a_report_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InvalidArgumentError, match="not a report"):
        measurement.read(tmp_path / "a.json")


def test_a_report_of_another_schema_and_a_missing_one_say_so(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({**measured().as_json(), "schema_version": 1}))
    with pytest.raises(FormatMismatchError, match="schema `1`"):
        measurement.read(tmp_path / "a.json")
    with pytest.raises(NotFoundError):
        measurement.read(tmp_path / "b.json")


def test_times_are_read_with_their_units() -> None:
    assert [seconds(text) for text in ("90", "90s", "10m", "1h")] == [90, 90, 600, 3600]
    for text in ("", "0", "m", "-5s", "1.5h", "1d", "99999999h", "٣m"):
        with pytest.raises(InvalidArgumentError):
            seconds(text)
