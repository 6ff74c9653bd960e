"""A measurement keeps its samples and reads the same in every format."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from sphere_edge.bench import local, report
from sphere_edge.bench.measurement import Measurement, Series
from sphere_edge.bundle.manifest import Memory
from sphere_edge.errors import InternalError, InvalidArgumentError, OutOfMemoryError


def measured(**changes: object) -> Measurement:
    fields: dict[str, object] = {
        "model": "tiny <b>&",
        "bundle_id": "0" * 64,
        "engine": "tvm",
        "family": "llama",
        "quantization": "q4",
        "device": "a board",
        "threads": 2,
        "context_tokens": 2048,
        "series": (
            Series("prefill", "tokens/s", (100.0, 300.0, 200.0), 128),
            Series("decode", "tokens/s", (50.0,), 64),
            Series("load", "s", (0.25, 0.2)),
        ),
        "peak_rss_bytes": 50 * 2**20,
        "predicted": Memory(
            weights_bytes=2**20, kv_cache_bytes=2**22, workspace_bytes=2**21, peak_bytes=2**25
        ),
    }
    return Measurement(**{**fields, **changes})  # type: ignore[arg-type]


def test_the_median_is_in_the_middle_and_percentiles_between_samples() -> None:
    one = Series("decode", "tokens/s", (4.0, 1.0, 3.0, 2.0))
    assert one.median == 2.5
    assert one.percentile(10) == pytest.approx(1.3)
    assert (one.percentile(0), one.percentile(100)) == (1.0, 4.0)
    assert Series("load", "s", (7.0,)).percentile(90) == 7.0


def test_json_keeps_every_sample_in_order(tmp_path: Path) -> None:
    report.write(measured(), tmp_path / "bench.json")
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["series"][0]["samples"] == [100.0, 300.0, 200.0]
    assert found["series"][0]["median"] == 200.0
    assert found["memory"]["predicted"]["peak_bytes"] == 2**25


def test_markdown_shows_predicted_beside_measured(tmp_path: Path) -> None:
    report.write(measured(), tmp_path / "bench.md")
    text = (tmp_path / "bench.md").read_text()
    assert "| prefill 128 | 200 | 120 | 280 | tokens/s | 3 |" in text
    assert "| peak | 32.0 MiB | 50.0 MiB |" in text


@pytest.mark.parametrize("changes", [{}, {"predicted": None}, {"series": ()}])
def test_html_is_one_file_with_its_plots_and_nothing_from_elsewhere(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    report.write(measured(**changes), tmp_path / "bench.html")
    text = (tmp_path / "bench.html").read_text()
    assert "<b>&" not in text
    assert "tiny &lt;b&gt;&amp;" in text
    drawing = text[text.index("<svg") : text.index("</svg>") + 6]
    ElementTree.fromstring(drawing)
    without_names = drawing.replace("http://www.w3.org/", "").replace("http://purl.org/", "")
    without_names = without_names.replace("http://creativecommons.org/", "")
    assert "http" not in text.replace(drawing, without_names)
    assert "<script" not in text


def test_the_same_measurement_gives_the_same_report(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        report.write(measured(), tmp_path / name)
    assert (tmp_path / "a.html").read_text() == (tmp_path / "b.html").read_text()


def test_an_unknown_report_format_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"bench\.pdf"):
        report.check(Path("bench.pdf"))


def runner(tmp_path: Path, prints: str, code: int = 0) -> Path:
    """A program that says what the native runner could say."""
    path = tmp_path / "sphere-edge-run"
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{prints}\nEND\nexit {code}\n")
    path.chmod(0o755)
    return path


SERIES = {"name": "decode", "unit": "tokens/s", "tokens": 4, "samples": [1.5, 2.5]}
REPORT = {
    "engine": "llama",
    "backend": "cpu",
    "family": "qwen2",
    "quantization": "f16",
    "threads": 2,
    "context_tokens": 64,
    "series": [SERIES],
    "peak_rss_bytes": 1000,
}


def test_the_runners_report_is_read_with_types(tmp_path: Path) -> None:
    report = local._ask(runner(tmp_path, json.dumps(REPORT)), tmp_path, local.Plan())
    assert report.series[0].samples == [1.5, 2.5]


def test_the_runners_error_keeps_its_code_and_hint(tmp_path: Path) -> None:
    said = {"error": {"code": 2, "status": "OOM_RAM", "message": "no room", "hint": "less"}}
    with pytest.raises(OutOfMemoryError, match="no room") as caught:
        local._ask(runner(tmp_path, json.dumps(said), 2), tmp_path, local.Plan())
    assert caught.value.hint == "less"


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Segmentation fault",
        "[]",
        json.dumps({**REPORT, "series": [{**SERIES, "samples": []}]}),
        json.dumps({**REPORT, "series": [{**SERIES, "samples": [-1.0]}]}),
        json.dumps({**REPORT, "peak_rss_bytes": "lots"}),
    ],
)
def test_a_runner_that_talks_nonsense_is_our_bug(tmp_path: Path, said: str) -> None:
    with pytest.raises(InternalError, match="the runner"):
        local._ask(runner(tmp_path, said), tmp_path, local.Plan())
