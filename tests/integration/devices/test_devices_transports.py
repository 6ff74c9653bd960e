"""What every transport does alike: words, streams, endings, files, and lost connections."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest
from transports import Transport

from sphere_edge import errors
from sphere_edge.devices.device import PART_BYTES, FilePart, read_file
from sphere_edge.devices.probe import probe

_HOSTILE_WORDS = ["a b", "c'd", 'e"f', "$HOME", "`id`", "*", "\\", "", "ä\n;", "--", "-n"]


def test_words_arrive_unchanged(transport: Transport) -> None:
    completed = transport.device().run(["printf", "<%s>", *_HOSTILE_WORDS])
    assert completed.stdout == "".join(f"<{word}>" for word in _HOSTILE_WORDS)


def test_both_streams_and_the_exit_code_are_reported(transport: Transport) -> None:
    completed = transport.device().run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (completed.stdout, completed.stderr, completed.exit_code) == ("out\n", "err\n", 7)


def test_a_program_that_a_signal_ended_says_which(transport: Transport) -> None:
    assert transport.device().run(["sh", "-c", "kill -11 $$"]).exit_code == -11


def test_a_program_that_is_missing_is_a_failure(transport: Transport) -> None:
    if transport.name.startswith("local"):
        with pytest.raises(errors.NotFoundError):
            transport.device().run(["no-such-program"])
    else:
        assert transport.device().run(["no-such-program"]).exit_code == 127


def test_much_said_on_both_streams_does_not_jam(transport: Transport) -> None:
    script = "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero"
    completed = transport.device().run(["sh", "-c", script])
    assert (len(completed.stdout), len(completed.stderr)) == (3_000_000, 3_000_000)


def test_stdin_arrives_to_its_end(transport: Transport) -> None:
    given = os.urandom(300_000)
    completed = transport.device().run(["sha256sum"], stdin=given)
    assert completed.stdout.split()[0] == hashlib.sha256(given).hexdigest()


def test_a_program_that_takes_too_long_is_a_timeout(transport: Transport) -> None:
    device = transport.device()
    with pytest.raises(errors.TimeoutError):
        device.run(["sleep", "5"], timeout_s=0.3)
    assert device.run(["echo", "still there"]).stdout == "still there\n"


def test_a_started_program_lives_until_its_stdin_ends(transport: Transport) -> None:
    device = transport.device()
    process = device.start(
        ["sh", "-c", "echo ready; cat >/dev/null; echo done > $0", str(transport.root)]
    )
    assert process.read_line(10) == "ready"
    process.close()
    process.close()
    assert read_file(device, str(transport.root)) == "done\n"


def test_a_file_arrives_as_it_was_sent(transport: Transport, tmp_path: Path) -> None:
    device = transport.device()
    sent = tmp_path / "sent"
    sent.write_bytes(os.urandom(3_000_001))
    counted: list[int] = []
    device.push(sent, f"{transport.root}.bin", sent=counted.append)
    assert Path(f"{transport.root}.bin").read_bytes() == sent.read_bytes()
    assert sum(counted) == 3_000_001


def test_a_part_of_a_file_is_written_in_its_place(transport: Transport, tmp_path: Path) -> None:
    device = transport.device()
    sent = tmp_path / "sent"
    sent.write_bytes(os.urandom(PART_BYTES + 300_000))
    remote = f"{transport.root}.bin"
    device.push(sent, remote, FilePart(0, PART_BYTES))
    assert Path(remote).stat().st_size == PART_BYTES
    device.push(sent, remote, FilePart(PART_BYTES, sent.stat().st_size - PART_BYTES))
    assert Path(remote).read_bytes() == sent.read_bytes()


def test_a_part_begins_at_a_multiple_of_a_block() -> None:
    with pytest.raises(errors.InvalidArgumentError, match="`1000` is not a multiple of 65536"):
        FilePart(1000, 1)


def test_a_whole_push_replaces_a_longer_file(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 200_000)
    (tmp_path / "short").write_bytes(b"y")
    device = transport.device()
    device.push(tmp_path / "long", f"{transport.root}.bin")
    device.push(tmp_path / "short", f"{transport.root}.bin")
    assert Path(f"{transport.root}.bin").read_bytes() == b"y"


def test_a_missing_file_is_not_found(transport: Transport) -> None:
    with pytest.raises(errors.NotFoundError, match="missing"):
        read_file(transport.device(), f"{transport.root}/missing")


def test_a_missing_folder_is_a_storage_error(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(os.urandom(2_000_000))
    with pytest.raises(errors.StorageError, match="folder does not exist"):
        transport.device().push(tmp_path / "sent", f"{transport.root}/no/such/file")


def test_the_probe_reads_this_machine_over_every_transport(transport: Transport) -> None:
    found = probe(transport.device(), folder=str(transport.root))
    assert found.architecture == os.uname().machine
    assert found.cores == os.cpu_count()
    assert found.page_bytes == os.sysconf("SC_PAGESIZE")
    assert found.memory_total_bytes
    assert found.memory_available_bytes
    disk = os.statvfs(transport.root.parent)
    # toybox tells root also of what is kept back for root.
    least, most = disk.f_bavail * disk.f_frsize, disk.f_bfree * disk.f_frsize
    assert found.storage_free_bytes is not None
    assert 0.8 * least <= found.storage_free_bytes <= 1.2 * most


def test_a_program_that_prints_without_end_is_refused_and_can_be_left(transport: Transport) -> None:
    device = transport.device()
    with pytest.raises(errors.UnavailableError, match="prints too much output"):
        device.run(["yes"], timeout_s=600)
    process = device.start(["sh", "-c", "tr '\\0' y </dev/zero"])
    with pytest.raises(errors.UnavailableError, match="prints a line without end"):
        process.read_line(600)
    process.close()
    endless = device.start(["yes"])
    assert endless.read_line(600) == "y"
    endless.close()
    assert device.run(["echo", "still there"]).stdout == "still there\n"


def test_a_cut_is_said_and_the_device_can_be_used_again(
    cuttable_transport: Transport, tmp_path: Path
) -> None:
    device = cuttable_transport.device()
    (tmp_path / "sent").write_bytes(os.urandom(8_000_000))
    assert cuttable_transport.link is not None
    cuttable_transport.link.cut_after(2_000_000)
    with pytest.raises(errors.UnavailableError) as caught:
        device.push(tmp_path / "sent", f"{cuttable_transport.root}.bin")
    assert device.uri in caught.value.message
    device.reconnect()
    assert device.run(["echo", "back"]).stdout == "back\n"


def test_a_device_that_vanished_while_a_program_runs_is_unavailable(
    cuttable_transport: Transport,
) -> None:
    device = cuttable_transport.device()
    assert cuttable_transport.link is not None
    threading.Timer(0.3, cuttable_transport.link.cut).start()
    with pytest.raises(errors.UnavailableError):
        device.run(["sleep", "1000"], timeout_s=300)
