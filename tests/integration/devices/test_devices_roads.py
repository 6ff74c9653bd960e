"""What every road does alike: words, streams, endings, files, and lost connections."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest
from roads import Road

from sphere_edge import errors
from sphere_edge.devices.device import PART_BYTES, read_file
from sphere_edge.devices.probe import probe

_HOSTILE_WORDS = ["a b", "c'd", 'e"f', "$HOME", "`id`", "*", "\\", "", "ä\n;", "--", "-n"]


def test_words_arrive_unchanged(road: Road) -> None:
    completed = road.device().run(["printf", "<%s>", *_HOSTILE_WORDS])
    assert completed.stdout == "".join(f"<{word}>" for word in _HOSTILE_WORDS)


def test_both_streams_and_the_exit_code_are_reported(road: Road) -> None:
    completed = road.device().run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (completed.stdout, completed.stderr, completed.exit_code) == ("out\n", "err\n", 7)


def test_a_program_that_a_signal_ended_says_which(road: Road) -> None:
    assert road.device().run(["sh", "-c", "kill -11 $$"]).exit_code == -11


def test_a_program_that_is_missing_is_a_failure(road: Road) -> None:
    if road.name.startswith("local"):
        with pytest.raises(errors.NotFoundError):
            road.device().run(["no-such-program"])
    else:
        assert road.device().run(["no-such-program"]).exit_code == 127


def test_much_said_on_both_streams_does_not_jam(road: Road) -> None:
    script = "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero"
    completed = road.device().run(["sh", "-c", script])
    assert (len(completed.stdout), len(completed.stderr)) == (3_000_000, 3_000_000)


def test_stdin_arrives_to_its_end(road: Road) -> None:
    given = os.urandom(300_000)
    completed = road.device().run(["sha256sum"], stdin=given)
    assert completed.stdout.split()[0] == hashlib.sha256(given).hexdigest()


def test_a_program_that_takes_too_long_is_a_timeout(road: Road) -> None:
    device = road.device()
    with pytest.raises(errors.TimeoutError):
        device.run(["sleep", "5"], timeout_s=0.3)
    assert device.run(["echo", "still there"]).stdout == "still there\n"


def test_a_started_program_lives_until_its_stdin_ends(road: Road) -> None:
    device = road.device()
    process = device.start(
        ["sh", "-c", "echo ready; cat >/dev/null; echo done > $0", str(road.root)]
    )
    assert process.read_line(10) == "ready"
    process.close()
    process.close()
    assert read_file(device, str(road.root)) == "done\n"


def test_a_file_comes_back_as_it_was_sent(road: Road, tmp_path: Path) -> None:
    device = road.device()
    sent = tmp_path / "sent"
    sent.write_bytes(os.urandom(3_000_001))
    counted: list[int] = []
    device.push(sent, f"{road.root}.bin", sent=counted.append)
    device.pull(f"{road.root}.bin", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == sent.read_bytes()
    assert sum(counted) == 3_000_001


def test_a_part_of_a_file_is_written_in_its_place(road: Road, tmp_path: Path) -> None:
    device = road.device()
    sent = tmp_path / "sent"
    sent.write_bytes(os.urandom(PART_BYTES + 300_000))
    remote = f"{road.root}.bin"
    device.push(sent, remote, length_bytes=PART_BYTES)
    assert Path(remote).stat().st_size == PART_BYTES
    device.push(sent, remote, offset_bytes=PART_BYTES)
    assert Path(remote).read_bytes() == sent.read_bytes()


def test_a_whole_push_replaces_a_longer_file(road: Road, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 200_000)
    (tmp_path / "short").write_bytes(b"y")
    device = road.device()
    device.push(tmp_path / "long", f"{road.root}.bin")
    device.push(tmp_path / "short", f"{road.root}.bin")
    assert Path(f"{road.root}.bin").read_bytes() == b"y"


def test_a_missing_file_is_not_found_and_leaves_nothing(road: Road, tmp_path: Path) -> None:
    with pytest.raises(errors.NotFoundError, match="missing"):
        road.device().pull(f"{road.root}/missing", tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert not list(tmp_path.glob(".pull-*"))


def test_a_missing_folder_is_a_storage_error(road: Road, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(os.urandom(2_000_000))
    with pytest.raises(errors.StorageError, match="folder does not exist"):
        road.device().push(tmp_path / "sent", f"{road.root}/no/such/file")


def test_the_probe_reads_this_machine_over_every_road(road: Road) -> None:
    found = probe(road.device(), folder=str(road.root))
    assert found.architecture == os.uname().machine
    assert found.cores == os.cpu_count()
    assert found.page_bytes == os.sysconf("SC_PAGESIZE")
    assert found.memory_total_bytes
    assert found.memory_available_bytes
    disk = os.statvfs(road.root.parent)
    # toybox tells root also of what is kept back for root.
    least, most = disk.f_bavail * disk.f_frsize, disk.f_bfree * disk.f_frsize
    assert found.storage_free_bytes is not None
    assert 0.8 * least <= found.storage_free_bytes <= 1.2 * most


def test_a_cut_is_said_and_the_device_can_be_used_again(
    cuttable_road: Road, tmp_path: Path
) -> None:
    device = cuttable_road.device()
    (tmp_path / "sent").write_bytes(os.urandom(8_000_000))
    assert cuttable_road.link is not None
    cuttable_road.link.cut_after(2_000_000)
    with pytest.raises(errors.UnavailableError) as caught:
        device.push(tmp_path / "sent", f"{cuttable_road.root}.bin")
    assert device.uri in caught.value.message
    device.reconnect()
    assert device.run(["echo", "back"]).stdout == "back\n"


def test_a_device_that_vanished_while_a_program_runs_is_unavailable(cuttable_road: Road) -> None:
    device = cuttable_road.device()
    assert cuttable_road.link is not None
    threading.Timer(0.3, cuttable_road.link.cut).start()
    with pytest.raises(errors.UnavailableError):
        device.run(["sleep", "20"], timeout_s=15)
