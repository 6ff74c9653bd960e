"""What the runtime asks of an OpenCL driver, and what it does when the driver fails.

An OpenCL library of our own stands between the runtime and the real one: opencl_shim.c.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import opencl_driver
import pytest
from opencl_driver import PROMPT, Driver

from sphere_edge.bundle.read import Bundle
from sphere_edge.errors import Status
from sphere_edge.run import run
from tests import runtimes
from tests.cli_process import COMMAND


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return opencl_driver.library(tmp_path_factory.mktemp("opencl"))


@pytest.fixture
def driver(gpu_bundle: Bundle, library: Path, tmp_path: Path) -> Driver:
    return Driver(gpu_bundle.folder, library, tmp_path)


def test_kernels_are_compiled_once_per_driver(driver: Driver) -> None:
    first = driver.answer()
    assert "Paris" in first["text"]
    assert (driver.counts()["sources"], driver.counts()["binaries"]) == (1, 0)
    assert driver.answer()["text"] == first["text"]
    assert (driver.counts()["sources"], driver.counts()["binaries"]) == (0, 1)
    driver.answer(DRIVER="newer")
    assert driver.counts()["sources"] == 1
    for binary in (driver.cache / "opencl").iterdir():
        content = binary.read_bytes()
        binary.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert driver.answer()["text"] == first["text"]
    assert (driver.counts()["sources"], driver.counts()["binaries"]) == (1, 0)


def test_cached_kernels_are_those_of_their_hash(driver: Driver) -> None:
    first = driver.answer()
    (cached,) = (driver.cache / "opencl").iterdir()
    content = cached.read_bytes()
    magic, *key, binary_hash, binary = content.split(b"\n", 7)
    assert magic == b"sphere-edge OpenCL binary 2"
    assert binary_hash.decode() == hashlib.sha256(binary).hexdigest()
    assert cached.stem == hashlib.sha256(b"\n".join(key) + b"\n").hexdigest()
    # Of another program: everything else is right.
    size, source_hash = key[-1].split()
    forged = source_hash.translate(bytes.maketrans(b"0123456789abcdef", b"123456789abcdef0"))
    cached.write_bytes(content.replace(source_hash, forged, 1))
    assert driver.answer()["text"] == first["text"]
    assert (driver.counts()["sources"], driver.counts()["binaries"]) == (1, 0)
    assert cached.read_bytes() == content


def test_buffers_come_from_the_pool_once_it_is_filled(driver: Driver) -> None:
    words = ("--prompt-tokens", "8", "--repeat", "1", "--new-tokens")
    driver("bench", *words, "4")
    few = driver.counts()
    driver("bench", *words, "24")
    many = driver.counts()
    assert many["launches"] > few["launches"] + 500
    assert many["buffers"] == few["buffers"]


def test_the_caches_of_all_sequences_are_parts_of_one_where_the_driver_divides_memory(
    driver: Driver,
) -> None:
    words = ("bench", "--prompt-tokens", "4", "--new-tokens", "2", "--repeat", "1")
    driver(*words)
    assert driver.counts()["parts"] == 0
    driver(*words, "--sequences", "4")
    # Of K and of V of four layers.
    assert driver.counts()["parts"] == 4 * 2 * 4


@pytest.mark.parametrize("fault", [{"PARTS": 0}, {"REFUSED": "_batch"}])
def test_a_driver_that_cannot_run_a_batch_decodes_one_sequence_after_the_other(
    driver: Driver, fault: dict[str, object]
) -> None:
    words = ("bench", "--prompt-tokens", "4", "--new-tokens", "2", "--repeat", "1")
    told = driver(*words, "--sequences", "4", **fault)
    assert told["backend"] == "opencl"
    assert {one["name"] for one in told["series"]} >= {"parallel_decode"}


def test_memory_that_gpu_and_cpu_share_is_used_in_place(driver: Driver) -> None:
    apart = driver.answer(UNIFIED=0)
    counts = driver.counts()
    assert (counts["maps"], counts["host_buffers"]) == (0, 0)
    assert counts["writes"] > 0
    assert counts["reads"] > 0
    assert driver.answer(UNIFIED=1)["text"] == apart["text"]
    counts = driver.counts()
    assert (counts["writes"], counts["reads"]) == (0, 0)
    assert counts["maps"] > 0
    assert counts["host_buffers"] == counts["buffers"]


def test_the_loader_of_pixel_phones_is_switched_on(driver: Driver) -> None:
    driver.answer()
    assert driver.counts()["enabled"] == 1


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"MEMORY": 1_000_000}, "has no `[0-9]+` bytes left"),
        ({"LARGEST": 100_000}, "makes buffers of up to `100000` bytes"),
    ],
)
def test_too_little_memory_is_an_error_with_the_bytes_or_a_reason_to_use_the_cpu(
    driver: Driver, fault: dict[str, int], told: str
) -> None:
    failed = driver.answer("--backend", "opencl", exit_code=Status.OOM_VRAM, **fault)
    assert failed["error"]["status"] == "OOM_VRAM"
    assert re.search(told, failed["error"]["message"])
    there = driver("bench", "--prompt-tokens", "4", "--new-tokens", "0", "--repeat", "1", **fault)
    assert there["backend"] == "cpu"
    assert "`opencl` does not work here" in there["backend_reason"]


@pytest.mark.parametrize("verb", ["generate", "chat"])
def test_an_answer_says_which_backend_gave_it_and_why(driver: Driver, verb: str) -> None:
    words = (verb, PROMPT, "--max-tokens", "2")
    told = driver(*words)
    assert (told["backend"], told["backend_reason"]) == ("opencl", "")
    told = driver(*words, LARGEST=100_000)
    assert told["backend"] == "cpu"
    assert "makes buffers of up to `100000` bytes" in told["backend_reason"]
    assert driver(*words, "--backend", "cpu")["backend_reason"] == ""


def test_a_person_reads_once_on_stderr_why_the_gpu_is_not_used(driver: Driver) -> None:
    environment = driver.environment(LARGEST=100_000)
    runner = str(runtimes.here().runner)
    # The runtime of this Python comes from the usual cache.
    of_python = {name: environment[name] for name in environment if name != "SPHERE_EDGE_CACHE"}
    for command, chosen in (
        ([runner, "generate", str(driver.bundle), PROMPT, "--max-tokens", "2"], environment),
        ([*COMMAND, "run", str(driver.bundle), PROMPT, "--max-tokens", "2"], of_python),
    ):
        for form in ([], ["--json"]):
            done = run([*command, *form], timeout_s=300, env=chosen)
            (line,) = done.stderr.splitlines()
            assert line.startswith("warning: the backend `opencl` does not work here: ")
            assert "makes buffers of up to `100000` bytes" in line
            assert line.endswith("; using `cpu`")
            assert "does not work" not in done.stdout or form
    assert json.loads(done.stdout)["backend"] == "cpu"


TWO = """
import ctypes, sys
from sphere_edge import TextManager, errors
from sphere_edge.toolchain import native, targets
for library in native.tvm_libraries(targets.host()):
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
ctypes.CDLL(sys.argv[2])
try:
    TextManager.open(sys.argv[1], backend="opencl")
except errors.UnsupportedError as error:
    print(error.message)
with TextManager.open(sys.argv[1]) as text:
    print(text.info.backend, len("".join(text.generate("Hello", max_tokens=2))) > 0)
"""


def test_a_second_copy_of_the_runtime_in_a_process_leaves_the_gpu_to_the_first(
    gpu_bundle: Bundle, tmp_path: Path
) -> None:
    library = runtimes.here().library
    assert library is not None
    copy = Path(shutil.copy(library, tmp_path))
    command = [sys.executable, "-c", TWO, str(gpu_bundle.folder), str(copy)]
    done = run(command, timeout_s=300)
    why = "another copy of this runtime has OpenCL in this process"
    assert done.stdout.splitlines() == [why, "cpu True"]
    # Python shows what nobody listens to.
    warning = f"the backend `opencl` does not work here: {why}; using `cpu`"
    assert done.stderr.splitlines() == [warning]


LOST = """
import sys
from sphere_edge import TextManager, errors
with TextManager.open(sys.argv[1]) as text:
    assert text.info.backend == "opencl"
    try:
        "".join(text.generate("Hello", max_tokens=4, temperature=0))
    except errors.InternalError as error:
        print(error.message)
with TextManager.open(sys.argv[1]) as text:
    print(text.info.backend, text.info.backend_reason)
    print(len("".join(text.generate("Hello", max_tokens=4, temperature=0))) > 0)
"""


def test_a_lost_device_ends_the_call_and_the_model_opens_on_the_cpu_again(driver: Driver) -> None:
    # Opening it takes some eighty launches. The runtime of this Python comes from the usual cache.
    environment = driver.environment(LOST_AFTER=100)
    del environment["SPHERE_EDGE_CACHE"]
    command = [sys.executable, "-c", LOST, str(driver.bundle)]
    done = run(command, timeout_s=300, env=environment)
    first, second, third = done.stdout.splitlines()
    assert "the device is lost" in first
    assert second.startswith("cpu the backend `opencl` does not work here")
    assert "is lost" in second
    assert third == "True"


def test_every_kernel_is_timed_by_the_gpus_own_clock(driver: Driver) -> None:
    words = ("--prompt-tokens", "16", "--new-tokens", "4", "--repeat", "1")
    told = driver("bench", *words, "--backend", "opencl", "--kernels")
    names = {one["name"] for one in told["kernels"]}
    for kind in ("take", "linear_q8", "rms_norm", "gated_silu", "rotate_and_store", "attend"):
        assert any(name.startswith(kind) for name in names), kind
    assert all(one["calls"] > 0 and one["seconds"] > 0 for one in told["kernels"])
    assert driver("bench", *words)["kernels"] == []
