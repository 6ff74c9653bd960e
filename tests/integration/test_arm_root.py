"""The small ARM system: what runs in it, as whom, and that it shows which CPU is emulated."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sphere_edge.simulate import arm_root as arm


def said(root: Path, *words: str, cpu: str | None = None) -> str:
    argv = [*arm.enter(root, cpu), *words]
    return subprocess.run(argv, check=True, text=True, stdout=subprocess.PIPE).stdout


def test_programs_and_their_children_are_those_of_an_arm_machine(arm_root: Path) -> None:
    assert said(arm_root, "sh", "-c", "uname -m; id -u; df -P / | tail -n 1").split()[:2] == [
        "aarch64",
        "0",
    ]


def test_a_copy_is_written_to_without_a_trace_in_what_others_share(
    arm_root: Path, tmp_path: Path
) -> None:
    own = arm.copy(tmp_path / "root")
    said(own, "sh", "-c", "echo mine >/root/file")
    assert (own / "root/file").read_text() == "mine\n"
    assert not (arm_root / "root/file").exists()


@pytest.mark.parametrize(("cpu", "has_dotprod"), [("cortex-a53", False), ("cortex-a76", True)])
def test_programs_are_told_the_features_of_the_emulated_cpu(
    arm_root: Path, cpu: str, has_dotprod: bool
) -> None:
    words = said(arm_root, "od", "-An", "-v", "-t", "x8", "/proc/self/auxv", cpu=cpu).split()
    capabilities = dict(zip(words[0::2], words[1::2], strict=True))[f"{16:016x}"]
    assert bool(int(capabilities, 16) >> 20 & 1) is has_dotprod
