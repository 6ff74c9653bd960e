"""What a failed write on a device is called: full storage, or a device that is going down."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.devices import store_script
from sphere_edge.devices.device import failed_write


@pytest.mark.parametrize("code", [-9, -15, 137, 143])
def test_a_program_that_a_signal_ended_is_no_full_storage(code: int) -> None:
    failure = failed_write("adb:1", "/data/local/tmp", code, "")
    assert isinstance(failure, errors.UnavailableError)
    assert f"signal {code % 128 if code > 0 else -code}" in failure.message


def test_other_codes_are_about_storage() -> None:
    failure = failed_write("adb:1", "/data/local/tmp", 20, "sh: No space left on device")
    assert isinstance(failure, errors.StorageError)
    assert "full" in failure.message


@pytest.mark.parametrize(("program", "action"), [("mkdir", "prepare"), ("mv", "finish")])
def test_the_devices_script_tells_a_killed_program_from_a_refused_write(
    tmp_path: Path, program: str, action: str
) -> None:
    """As when a phone restarts: init kills what runs, `mkdir` before the waiting shell."""
    store = tmp_path / "store"
    for name in ("incoming", "blobs"):
        (store / name).mkdir(parents=True)
    (store / "lock").symlink_to("token:1:2:3:4")
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (store / "incoming" / digest).touch()
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / program).write_text("#!/bin/sh\nkill -9 $$\n")
    (programs / program).chmod(0o755)
    script = Path(store_script.__file__).with_name("store.sh")
    ended = subprocess.run(
        ["sh", script, action, store, "token", digest, "644"],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 128 + 9
