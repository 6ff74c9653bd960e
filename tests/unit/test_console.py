"""The console: data on stdout as it is, talk on stderr, bars only where someone watches."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys

import pytest

from sphere_edge import console
from sphere_edge.errors import NotFoundError

WORK = (
    "from sphere_edge import console\n"
    "with console.progress().step('hashing files', 4, 'bytes') as step:\n"
    "    for _ in range(4): step.advance(1)\n"
    "console.warn('careful'); console.error('no [bold]such[/bold] thing', 'look again')"
)


def on_a_terminal(script: str, **environment: str) -> str:
    """What `script` writes to a terminal that stdin, stdout and stderr share."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", **environment},
    )
    os.close(theirs)
    output = b""
    try:
        while piece := os.read(ours, 4096):
            output += piece
    except OSError:
        # Linux ends a terminal whose last user has gone with an error instead of an empty read.
        assert process.wait(timeout=300) == 0
    finally:
        os.close(ours)
    assert process.wait(timeout=300) == 0
    return output.decode()


def test_a_pipe_gets_one_line_per_step_and_no_control_characters() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WORK], capture_output=True, text=True, timeout=300, check=True
    )
    assert run.stdout == ""
    assert run.stderr == (
        "hashing files …\nwarning: careful\nerror: no [bold]such[/bold] thing\n\nhint: look again\n"
    )


def test_a_terminal_gets_a_bar_and_colours() -> None:
    output = on_a_terminal(WORK)
    assert "\x1b[" in output
    assert "━" in output
    assert "hashing files" in output


def test_no_colour_where_it_is_not_wanted_even_on_a_terminal() -> None:
    output = on_a_terminal("from sphere_edge import console; console.error('no')", NO_COLOR="1")
    assert "\x1b[3" not in output
    assert "error: " in output


def test_a_table_in_a_pipe_is_never_cut_or_folded(capsys: pytest.CaptureFixture[str]) -> None:
    console.write_table(("NAME", "SIZE →"), [("x" * 300, "1"), ("[red]y[/red]", "22")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "x" * 300 + "     1"
    assert lines[2].startswith("[red]y[/red]")
    assert lines[2].endswith("   22")


def test_json_is_readable_keeps_signs_and_refuses_nan(capsys: pytest.CaptureFixture[str]) -> None:
    console.write_json({"text": "grün ✓"})
    assert '"grün ✓"' in capsys.readouterr().out
    with pytest.raises(ValueError, match="JSON"):
        console.write_json(float("nan"))


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536 * 2**20, "1.50 GiB"),
        (2**41, "2048.00 GiB"),
    ],
)
def test_sizes_are_given_in_binary_units(count: int, text: str) -> None:
    assert console.human_bytes(count) == text


def test_an_error_as_json_has_code_status_message_and_hint() -> None:
    found = console.error_as_json(NotFoundError("no such thing", hint="look"))
    assert found["error"]["status"] == "NOT_FOUND"
    assert found["error"]["code"] == 11


def test_what_the_library_logs_is_talk_and_each_line_comes_once() -> None:
    script = (
        "import logging\n"
        "from sphere_edge import console\n"
        "console.show_log(); console.show_log()\n"
        "log = logging.getLogger('sphere_edge')\n"
        "for _ in range(2): log.warning('no [b]GPU[/b]'); log.info('details'); log.error('lost')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert done.stderr == "warning: no [b]GPU[/b]\nerror: lost\n"


def test_a_log_line_comes_again_after_some_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    lines = console._LogLines()
    for minute in (0, 9, 11, 12):
        record = logging.makeLogRecord({"msg": "the disk is full", "levelno": logging.ERROR})
        record.created = 60.0 * minute
        lines.emit(record)
    assert capsys.readouterr().err.count("the disk is full") == 2
