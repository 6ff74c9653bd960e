"""Two runs beside each other: ratios, what chance could do, and when it counts as slower."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path

import pytest

from sphere_edge import __main__, errors
from sphere_edge.bench import matrix, report
from sphere_edge.bench.compare import compare, ratio
from sphere_edge.bench.measurement import Measurement, Series
from sphere_edge.commands.bench_compare import REGRESSION
from sphere_edge.console import Progress
from tests.measurements import measured, sustained


def series(samples: list[float], name: str = "decode", unit: str = "tokens/s") -> Series:
    return Series.model_validate({"name": name, "unit": unit, "samples": samples})


def noisy(middle: float, seed: int, count: int = 15) -> list[float]:
    chance = random.Random(seed)
    return [middle * chance.gauss(1, 0.02) for _ in range(count)]


def test_a_run_that_is_faster_is_said_to_be_with_an_interval_around_the_truth() -> None:
    found = ratio(series(noisy(100, 1)), series(noisy(110, 2)))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1.1 < found.high
    assert found.result == "faster"


def test_less_time_is_better() -> None:
    found = ratio(series(noisy(1, 1), "load", "s"), series(noisy(2, 2), "load", "s"))
    assert found.ratio == pytest.approx(0.5, rel=0.03)
    assert found.result == "slower"


def test_the_interval_of_two_equal_machines_holds_1_about_as_often_as_it_says() -> None:
    outside = sum(
        ratio(series(noisy(100, n)), series(noisy(100, 1000 + n))).result != "no difference"
        for n in range(100)
    )
    assert outside <= 12


def test_a_few_samples_have_no_interval() -> None:
    found = ratio(series([1.0, 2.0]), series([2.0, 3.0]))
    assert (found.low, found.high, found.result) == (None, None, "too few samples")
    assert found.fails(2) is None


def test_chance_alone_is_no_regression() -> None:
    noise = ratio(series([100, 80, 120, 100, 60]), series([95, 75, 130, 90, 97]))
    assert noise.ratio < 0.96
    assert not noise.fails(0.96)


def test_runs_without_a_common_series_are_not_compared() -> None:
    with pytest.raises(errors.InvalidArgumentError, match="share no series"):
        compare(measured(series=(series([1.0]),)), [measured(series=(series([1.0], "load", "s"),))])


def files(tmp_path: Path, *runs: Measurement) -> list[str]:
    for number, run in enumerate(runs):
        report.write(run, tmp_path / f"{number}.json")
    return [str(tmp_path / f"{number}.json") for number in range(len(runs))]


def test_a_regression_is_an_exit_code_and_every_report_tells_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = measured(series=(series(noisy(100, 1)),), sustained=sustained(5))
    after = measured(series=(series(noisy(80, 2)),), sustained=sustained(5), threads=1)
    names = files(tmp_path, before, after)
    out = [f"--report={tmp_path / name}" for name in ("c.html", "c.md", "c.json")]
    with pytest.raises(SystemExit) as ended:
        __main__.main(["bench", "compare", *names, "--fail-below", "0.95", "--json", *out])
    assert ended.value.code == REGRESSION
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told == json.loads((tmp_path / "c.json").read_text())
    assert told["failed"] == {names[1]: ["decode"]}
    assert told["runs"][0]["differs"] == ["threads 2 → 1"]
    assert [one["title"] for one in told["runs"][0]["ratios"]] == [
        "decode",
        "sustained prefill",
        "sustained decode",
    ]
    assert "| slower |" in (tmp_path / "c.md").read_text()
    page = (tmp_path / "c.html").read_text()
    assert page.count("<svg") == 1
    assert "http" not in page.split("<svg")[0]
    assert __main__.main(["bench", "compare", *names, "--fail-below", "0.7"]) == 0
    assert "slower" in capsys.readouterr().out


def test_a_gate_is_not_passed_by_what_nobody_can_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = series([1.0], "load", "s")
    names = files(tmp_path, *(measured(series=(few,), sustained=()) for _ in range(2)))
    gate = ["bench", "compare", *names, "--fail-below", "0.95"]
    assert __main__.main(gate) == errors.Status.INVALID_ARGUMENT
    printed = capsys.readouterr()
    assert "too few samples" in printed.out
    assert "--repeat 3" in printed.err
    both = (few, series(noisy(100, 1)))
    files(tmp_path, *(measured(series=both, sustained=()) for _ in range(2)))
    assert __main__.main(gate) == 0
    assert "too few samples to judge load" in capsys.readouterr().err


def test_a_comparison_needs_two_reports(tmp_path: Path) -> None:
    assert __main__.main(["bench", "compare", *files(tmp_path, measured())]) == __main__.USAGE


def test_a_matrix_goes_on_where_one_fails_and_keeps_the_order() -> None:
    def measure(bundle: Path, uri: str, progress: Progress) -> Measurement:
        if (bundle.name, uri) == ("b", "adb:x"):
            message = "adb:x is offline"
            raise errors.UnavailableError(message)
        return measured(model=f"{bundle.name} {uri}")

    done: list[matrix.Cell] = []
    cells = matrix.measure_all([Path("a"), Path("b")], ["local", "adb:x"], measure, done.append)
    assert [(str(cell.bundle), cell.uri) for cell in cells] == [
        ("a", "local"),
        ("a", "adb:x"),
        ("b", "local"),
        ("b", "adb:x"),
    ]
    assert len(done) == 4
    rows = matrix.rows(cells)
    assert rows[0][2] == "200 tokens/s"
    assert rows[3][-1] == "failed: adb:x is offline"


def test_devices_of_a_matrix_are_measured_at_the_same_time_and_stopped_together() -> None:
    both = threading.Barrier(2, timeout=300)
    stopped = []

    def measure(bundle: Path, uri: str, progress: Progress) -> Measurement:
        both.wait()
        if uri == "first":
            raise KeyboardInterrupt
        with progress.step("measuring") as step:
            try:
                while True:
                    step.advance()
            except errors.CancelledError:
                stopped.append(uri)
                raise
        return measured()

    with pytest.raises(KeyboardInterrupt):
        matrix.measure_all([Path("a")], ["first", "second"], measure, lambda _: None)
    assert stopped == ["second"]
