"""pytest's side of `tests.groups`: which groups run, what was left out, and the slowest files."""

from __future__ import annotations

import resource
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import groups

_SLOWEST = 5
_GROUP = "group"
_CPU = "cpu_s"
_COUNTS = "group_counts"
# A skip whose reason begins so says that there is nothing to test in this case, on no machine.
_BY_DESIGN = "by design: "
_SKIPPED_BY_DESIGN = "skipped by design"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--group NAME`, `--all-groups`, `--record-groups` and `--group-record FILE`."""
    options = parser.getgroup("groups of expensive tests (tests/groups.py)")
    options.addoption("--group", choices=sorted(groups.GROUPS), help="run this group and no other")
    options.addoption("--all-groups", action="store_true", help="run groups that have not changed")
    options.addoption(
        "--record-groups", action="store_true", help="write the groups that passed to the record"
    )
    options.addoption("--group-record", type=Path, default=groups.RECORD, help="the record")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and one plugin that chooses and one that reports."""
    config.addinivalue_line("markers", "group(name): a group of expensive tests, tests/groups.py")
    chosen = Selection(config)
    config.pluginmanager.register(chosen)
    config.pluginmanager.register(Clock())
    # With xdist the workers choose, and the process that started them hears what they did.
    if hasattr(config, "workerinput"):
        return
    option, whole = config.option, config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if option.record_groups and not (whole and not option.keyword):
        message = "--record-groups needs all tests of a group: leave out paths and -k"
        raise pytest.UsageError(message)
    config.pluginmanager.register(Report(config, chosen))


def group_of(item: pytest.Item) -> str | None:
    """The group of a test; KeyError for one that is not in the table."""
    marker = item.get_closest_marker(_GROUP)
    if marker is None:
        return None
    name: str = marker.args[0]
    return name if groups.GROUPS[name] else None


def outcome(report: pytest.TestReport) -> str:
    """`passed`, `failed`, `skipped`, or that it was skipped by design."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple | list) else ""
    return _SKIPPED_BY_DESIGN if _BY_DESIGN in reason else report.outcome


class Selection:
    """Deselects the tests of groups that need not run."""

    def __init__(self, config: pytest.Config) -> None:
        self.left_out: Counter[str] = Counter()
        self.chosen: Counter[str] = Counter()
        self._only: str | None = config.option.group
        self._unchanged: Collection[str] = ()
        if not (config.option.all_groups or self._only):
            record = groups.recorded(config.option.group_record)
            self._unchanged = [
                name for name, hash in groups.now().items() if record.get(name) == hash
            ]

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        chosen, others = [], []
        for item in items:
            name = group_of(item)
            if name is not None:
                # Goes with each report to the process that prints them.
                item.user_properties.append((_GROUP, name))
            runs = name not in self._unchanged if self._only is None else name == self._only
            (chosen if runs else others).append(item)
            if name is not None and (runs or self._only is None):
                (self.chosen if runs else self.left_out)[name] += 1
        items[:] = chosen
        if others:
            config.hook.pytest_deselected(items=others)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_COUNTS] = dict(self.left_out), dict(self.chosen)


class Clock:
    """Notes the CPU time of each test and its programs, which a busy machine changes little."""

    def __init__(self) -> None:
        self._before = self._now()

    @staticmethod
    def _now() -> float:
        used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in used)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterator[None]:
        report = yield
        now = self._now()
        report.user_properties.append((_CPU, now - self._before))
        self._before = now
        return report


class Report:
    """Says at the end what was left out and what took long, and keeps the record."""

    def __init__(self, config: pytest.Config, chosen: Selection) -> None:
        self._shown = None if config.option.verbose > 0 else _SLOWEST
        self._record: Path | None = None
        if config.option.record_groups:
            self._record = config.option.group_record
            # What is changed while the tests run was not tested.
            self._hashes = groups.now()
        self._left_out, self._chosen = chosen.left_out, chosen.chosen
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._cpu_seconds: defaultdict[str, float] = defaultdict(float)
        self._outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Every worker collects all tests, so each of them knows the whole."""
        counts = getattr(node, "workeroutput", {}).get(_COUNTS)
        if counts is not None:
            self._left_out, self._chosen = map(Counter, counts)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        path = report.location[0]
        self._seconds[path] += report.duration
        for key, value in report.user_properties:
            if key == _CPU:
                self._cpu_seconds[path] += float(str(value))
            elif key == _GROUP and (report.when == "call" or not report.passed):
                self._outcomes[str(value)][outcome(report)] += 1

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: int
    ) -> None:
        write = terminalreporter.write_line
        if self._left_out:
            terminalreporter.section("left out: nothing that they test has changed since they ran")
            for name, count in sorted(self._left_out.items()):
                write(f"{count:5} tests: {groups.GROUPS[name].tests} (make test-{name})")
            write("All of them: make test-all")
        terminalreporter.section("slowest files")
        for path, seconds in sorted(self._seconds.items(), key=lambda one: -one[1])[: self._shown]:
            write(f"{seconds:7.1f} s, {self._cpu_seconds[path]:7.1f} s of CPU time  {path}")
        write(f"{sum(self._cpu_seconds.values()):7.1f} s of CPU time in all tests")
        if self._record is not None:
            self._write_record(self._record, terminalreporter)

    def _write_record(self, path: Path, terminalreporter: pytest.TerminalReporter) -> None:
        # A test whose worker died left no outcome.
        passed = {
            name: self._hashes[name]
            for name, seen in self._outcomes.items()
            if name in self._hashes
            and seen.keys() <= {"passed", _SKIPPED_BY_DESIGN}
            and seen.total() == self._chosen[name]
        }
        if passed:
            groups.record(passed, path)
        if self._chosen:
            terminalreporter.section("groups that ran whole are recorded in tests/full_runs.json")
        for name, seen in sorted(self._outcomes.items()):
            told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(seen.items()))
            outcome = "recorded, to be committed" if name in passed else "not recorded"
            count = f"{name}: {self._chosen[name]} tests, {told}"
            terminalreporter.write_line(f"{count}: {outcome}")
