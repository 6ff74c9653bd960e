"""`certify` and `deploy` against faults put into OpenCL kernels: each is caught, none is hidden.

The faults are in the kernels' source, which the driver (PoCL) compiles and runs as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from certified_here import certified
from opencl_faults import FAULTS, WRONG_CONSTANT, broken

from sphere_edge.bundle.read import Bundle
from sphere_edge.certify import on_device
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.store import Store
from sphere_edge.errors import LoadFailedError
from sphere_edge.runtime.text import TextManager
from tests.cli_process import sphere_edge


def test_right_kernels_are_certified(gpu_bundle: Bundle) -> None:
    result = certified(gpu_bundle, backend="opencl")
    assert result.certified, result.reasons
    assert (result.backend, result.agreement, result.repeats) == ("opencl", 1, True)


def test_a_wrong_constant_is_caught_and_its_kernel_named(
    gpu_bundle: Bundle, tmp_path: Path
) -> None:
    wrong = broken(gpu_bundle, tmp_path, FAULTS["wrong constant"])
    result = certified(wrong, repeat=1, backend="opencl")
    assert not result.certified
    assert result.kernel is not None
    assert result.kernel.startswith("`attend_many`, attend (after layers.0.self_attn.qkv_proj)")


def test_a_dropped_barrier_is_caught_and_its_kernel_named(
    gpu_bundle: Bundle, tmp_path: Path
) -> None:
    wrong = broken(gpu_bundle, tmp_path, FAULTS["dropped barrier"])
    result = certified(wrong, repeat=1, backend="opencl")
    assert not result.certified
    assert result.kernel is not None
    assert "rms_norm" in result.kernel


def test_a_nan_is_caught_though_it_comes_only_at_far_positions(
    gpu_bundle: Bundle, tmp_path: Path
) -> None:
    wrong = broken(gpu_bundle, tmp_path, FAULTS["nan at far positions"])
    result = certified(wrong, repeat=1, backend="opencl")
    assert not result.certified
    assert result.non_finite > 0


def test_a_kernel_that_fails_one_time_in_twenty_is_caught(
    gpu_bundle: Bundle, tmp_path: Path
) -> None:
    wrong = broken(gpu_bundle, tmp_path, FAULTS["one call in twenty"])
    result = certified(wrong, repeat=5, backend="opencl")
    assert not result.certified
    assert not result.repeats


@pytest.fixture
def wrong(gpu_bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle whose GPU code is wrong and whose CPU code is right, and which `verify` believes."""
    copy = broken(gpu_bundle, tmp_path, WRONG_CONSTANT)
    return resealed(copy.folder)


def resealed(folder: Path) -> Path:
    """The bundle with hashes and id of what is in it now."""
    import hashlib

    from sphere_edge.bundle.manifest import bundle_id, render

    document: dict[str, Any] = json.loads((folder / "bundle.json").read_text())
    for file in document["files"]:
        content = (folder / file["path"]).read_bytes()
        file.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    document["id"] = bundle_id(document)
    (folder / "bundle.json").write_bytes(render(document))
    return folder


def test_deploy_falls_back_to_the_cpu_and_the_runtime_there_obeys(
    wrong: Path, tmp_path: Path
) -> None:
    store = str(tmp_path / "store")
    run = sphere_edge("deploy", wrong, "--device", "local", "--store", store)
    assert run.returncode == 0, run.stderr
    output = " ".join(run.stderr.split())
    assert "does not match its reference on local (opencl)" in output
    assert "cpu is used instead" in output
    assert "certified on cpu" in output
    folder = Store(LocalDevice(), store).folder("tiny")
    results = on_device.kept(LocalDevice(), folder)
    assert [(one.backend, one.certified) for one in results.results] == [
        ("opencl", False),
        ("cpu", True),
    ]
    with TextManager.open(f"{folder}/bundle") as text:
        assert text.info.backend == "cpu"
        assert "failed validation on this device: logits differ" in text.info.backend_reason
    with TextManager.open(f"{folder}/bundle", backend="opencl") as text:
        assert text.info.backend == "opencl"
    # A result that cannot be read, or is of another bundle, rules nothing out.
    path = Path(folder) / on_device.RESULTS
    for content in ("{", path.read_text().replace(results.results[0].bundle, "0" * 64)):
        path.write_text(content)
        with TextManager.open(f"{folder}/bundle") as text:
            assert (text.info.backend, text.info.backend_reason) == ("opencl", "")


def test_certify_tells_of_every_backend_and_run_takes_the_one_that_is_right(wrong: Path) -> None:
    run = sphere_edge("certify", wrong, "--short", "--repeat", "1", "--json")
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert document["backend"] == "cpu"
    assert [(one["backend"], one["certified"]) for one in document["results"]] == [
        ("opencl", False),
        ("cpu", True),
    ]
    assert "does not match its reference on this machine (opencl)" in " ".join(run.stderr.split())
    words = ("run", wrong, "Hi", "--raw", "--max-tokens", "2", "--json")
    output = json.loads(sphere_edge(*words).stdout)
    assert output["backend"] == "cpu"
    assert output["backend_reason"].startswith("`opencl` failed on opencl: logits differ")
    bench = ("bench", wrong, "--prompt-tokens", "4", "--new-tokens", "2", "--repeat", "1")
    shown = " ".join(sphere_edge(*bench, "--backend", "opencl").stderr.split())
    assert "answers: failed on opencl" in shown


def test_a_bundle_that_is_wrong_everywhere_is_refused(wrong: Path) -> None:
    found = Bundle.open(wrong)
    reference = json.loads((wrong / "certify" / "reference.json").read_text())
    for row in reference["rows"]:
        row["log_sum_exp"] += 5
    (wrong / "certify" / "reference.json").write_text(json.dumps(reference))
    resealed(found.folder)
    run = sphere_edge("certify", wrong, "--short", "--repeat", "1")
    assert run.returncode == LoadFailedError.status
    assert "does not match its reference on this machine (opencl)" in run.stderr
