"""What the runtime's Metal device asks of the system, and what it makes of its failures.

No Apple machine was at hand: Objective-C's runtime and Metal are metal_stand_in.c, which holds the
callers to the rules of Metal's documentation; and the files compile for macOS with zig.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sphere_edge import resources
from sphere_edge.errors import Status
from sphere_edge.run import run
from sphere_edge.toolchain import compilers, native, targets

HERE = Path(__file__).parent
TVM = resources.folder("native") / "src" / "tvm"
SOURCES = (
    "metal_api.cpp",
    "metal_device.cpp",
    "metal_program.cpp",
    "gpu_cache.cpp",
    "../base/sha256.cpp",
)
WORDS = ["c++", "-std=c++20", "-O1", "-g0", "-Wall", "-Wextra", "-Werror"]
Program = Callable[..., tuple[dict[str, Any], dict[str, int]]]


def headers() -> list[str]:
    """Where the headers of ours and of TVM lie, as the compiler takes them."""
    folders = native.core_project(targets.host()).folders
    known = (folders[name] for name in ("SE_TVM_DIR", "SE_TVM_FFI_DIR"))
    ours = (TVM.parent, TVM.parents[1] / "include")
    return [*(f"-I{folder}" for folder in ours), *(f"-isystem{folder}/include" for folder in known)]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Runs the program with a fault and a way to fail: what it says, and what was counted."""
    folder = tmp_path_factory.mktemp("metal")
    library, made = folder / "libmetal.so", folder / "metal"
    environment = compilers.environment()
    words = ["-O1", "-g0", "-shared", "-fPIC", "-o", library, HERE / "metal_stand_in.c"]
    run([compilers.zig(), "cc", *words], timeout_s=300, env=environment)
    stand_in = f'-DSE_METAL_STAND_IN="{library}"'
    files = [HERE / "metal_main.cpp", *(TVM / name for name in SOURCES)]
    words = [*WORDS, *headers(), stand_in, "-o", made, *files]
    run([compilers.zig(), *words], timeout_s=300, env=environment)

    def runs(*how: str, fault: str = "", cache: Path = folder / "cache") -> Any:
        done = run([made, cache, *how], timeout_s=300, env={"SE_METAL_FAULT": fault}, check=False)
        assert done.exit_code == 0, done.stdout + done.stderr
        said, counted = done.stdout.splitlines()
        return json.loads(said), json.loads(counted)

    return runs


def test_kernels_and_copies_run_in_order_and_nothing_is_left(
    program: Program, tmp_path: Path
) -> None:
    said, counted = program(cache=tmp_path)
    assert said == {"status": 0}
    # Device and queue live as long as the process; many kernels share a command buffer.
    assert counted["alive"] == 2
    assert counted["committed"] < 55


def test_pipelines_come_from_the_archive_the_second_time(program: Program, tmp_path: Path) -> None:
    first, second = (program(cache=tmp_path)[1] for _ in range(2))
    assert (first["compiled"], first["from_archive"]) == (0, 1)
    archive = next((tmp_path / "metal").glob("*.archive"))
    # SHA-256: of FNV-1a others with the same hash are easily made.
    assert re.fullmatch("[0-9a-f]{64}", archive.stem)
    assert second["from_archive"] == 1
    archive.write_text("damaged")
    assert program(cache=tmp_path)[0] == {"status": 0}
    assert archive.read_text().startswith("kernels")
    assert program(fault="no archives", cache=tmp_path)[1]["compiled"] == 1


@pytest.mark.parametrize(
    ("how", "fault", "status", "named"),
    [
        ((), "no device", Status.UNSUPPORTED, "finds no GPU"),
        (("source",), "", Status.LOAD_FAILED, "expected a kernel"),
        (("kernel",), "", Status.MODEL_CORRUPT, "no kernel `unknown`"),
        (("threads",), "", Status.LOAD_FAILED, "needs `65` threads"),
        (("large",), "", Status.OOM_VRAM, "up to `1048576` bytes"),
        ((), "no memory", Status.OOM_VRAM, "has no `512` bytes left"),
        (("run",), "memory", Status.OOM_VRAM, "Insufficient Permission"),
        (("run",), "command", Status.INTERNAL, "the device is lost"),
    ],
)
def test_failures_keep_their_status(
    program: Program, how: tuple[str, ...], fault: str, status: Status, named: str
) -> None:
    said, _ = program(*how, fault=fault)
    assert said["status"] == status
    assert named in said["message"]


def test_the_plugin_compiles_for_macs(tmp_path: Path) -> None:
    for name in ("metal_backend.cpp", *SOURCES):
        out = tmp_path / f"{Path(name).name}.o"
        words = ["-target", "aarch64-macos.13.0", "-c", TVM / name, "-o", out]
        command = [compilers.zig(), *WORDS, *headers(), *words]
        run(command, timeout_s=300, env=compilers.environment())
        assert out.read_bytes()[:4] == b"\xcf\xfa\xed\xfe"
