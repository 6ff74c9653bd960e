"""The one door to outside programs, with real programs behind it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from sphere_edge import errors
from sphere_edge.run import ProgramFailedError, run


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def gone(process_id: int) -> bool:
    for _ in range(500):
        # In a container nobody may collect a dead grandchild: it stays listed as a zombie.
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
                continue
        return True
    return False


def test_what_a_program_says_comes_back_with_its_exit_code() -> None:
    code = "import sys; print('out ä'); print('err', file=sys.stderr); sys.exit(3)"
    completed = run(python(code), timeout_s=300, check=False)
    assert (completed.exit_code, completed.stdout, completed.stderr) == (3, "out ä\n", "err\n")


def test_a_failing_program_is_an_error_that_ends_with_its_last_lines() -> None:
    code = "import sys; [print(i, file=sys.stderr) for i in range(100)]; sys.exit('the reason')"
    with pytest.raises(ProgramFailedError) as caught:
        run(python(code), timeout_s=300)
    assert "failed with exit code 1" in caught.value.message
    assert caught.value.message.endswith("99\nthe reason")
    assert "\n50\n" not in caught.value.message
    assert caught.value.completed.exit_code == 1


def test_death_by_signal_is_named_as_such() -> None:
    with pytest.raises(ProgramFailedError, match="died of signal 9"):
        run(python("import os; os.kill(os.getpid(), 9)"), timeout_s=300)


def test_a_missing_program_says_how_to_get_it() -> None:
    with pytest.raises(errors.NotFoundError, match="no-such-program") as caught:
        run(["no-such-program"], timeout_s=300, how_to_get="install it with `pip install it`")
    assert caught.value.hint == "install it with `pip install it`"


def test_a_missing_folder_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFoundError, match="no such folder"):
        run(python("pass"), timeout_s=300, cwd=tmp_path / "absent")


def test_a_timeout_ends_the_program_and_its_children() -> None:
    children: list[int] = []
    with pytest.raises(errors.TimeoutError, match=r"`sh` did not end within 0\.5 s"):
        run(
            ["sh", "-c", "sleep 600 & echo $!; wait"],
            timeout_s=0.5,
            on_line=lambda line: children.append(int(line)),
        )
    assert gone(children[0])


def test_a_program_that_ignores_the_polite_signal_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sphere_edge.run.GRACE_S", 0.1)
    with pytest.raises(errors.TimeoutError):
        run(["sh", "-c", "trap '' TERM; while :; do sleep 600; done"], timeout_s=0.3)


def test_ctrl_c_ends_the_program_before_it_reaches_the_caller() -> None:
    started: list[int] = []

    def interrupt(line: str) -> None:
        started.append(int(line))
        threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()

    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt):
        run(python(code), timeout_s=300, on_line=interrupt)
    assert gone(started[0])


def test_lines_are_handed_over_as_they_come_with_both_streams_in_order() -> None:
    lines: list[str] = []
    code = (
        "import sys; print('one', flush=True); print('two', file=sys.stderr, flush=True);"
        "sys.stdout.write('10%\\r20%\\rlast')"
    )
    completed = run(python(code), timeout_s=300, on_line=lines.append)
    assert lines == ["one", "two", "10%", "20%", "last"]
    assert completed.stderr == ""


def test_output_larger_than_a_pipe_does_not_block() -> None:
    code = "import sys; sys.stdout.write('x' * 1000000); sys.stderr.write('y' * 1000000)"
    completed = run(python(code), timeout_s=300)
    assert (len(completed.stdout), len(completed.stderr)) == (1_000_000, 1_000_000)


def test_a_daemon_left_behind_does_not_hold_the_caller() -> None:
    daemon = "import time; time.sleep(20)"
    code = (
        "import subprocess, sys;"
        f"child = subprocess.Popen([sys.executable, '-c', {daemon!r}], start_new_session=True);"
        "print(child.pid)"
    )
    completed = run(python(code), timeout_s=300)
    os.kill(int(completed.stdout), signal.SIGKILL)


def test_input_and_environment_reach_the_program() -> None:
    code = "import os, sys; print(sys.stdin.read() + os.environ['SE_WORD'] + os.environ['HOME'])"
    completed = run(
        python(code), timeout_s=300, stdin=b"a" * 100_000, env={"SE_WORD": "b", "HOME": "c"}
    )
    assert completed.stdout == "a" * 100_000 + "bc\n"


def test_without_input_a_program_that_reads_finds_the_end() -> None:
    assert run(python("import sys; print(repr(sys.stdin.read()))"), timeout_s=300).stdout == "''\n"
