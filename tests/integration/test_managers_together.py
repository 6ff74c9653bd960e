"""Text, speech and images at once, and many texts at once, under ThreadSanitizer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sanitized import sanitizer_runtime

from sphere_edge import packaging, profiles
from sphere_edge.engines.options import PackageOptions
from sphere_edge.run import run
from sphere_edge.toolchain import native, targets
from sphere_edge.toolchain.project import build_project
from tests import made_bundles, random_diffusion, random_gguf, random_whisper

pytestmark = pytest.mark.group("sanitizers")


ENVIRONMENT = {"TSAN_OPTIONS": "halt_on_error=1 exitcode=66"}


@pytest.fixture(scope="module")
def programs() -> Path:
    """The C programs with our own files instrumented; the engines are as they always are."""
    runtime = sanitizer_runtime("libtsan.so")
    if runtime is None:
        pytest.skip("no libtsan.so: install gcc")
    host = targets.host()
    project = native.core_project(host, native.ALL_ENGINES)
    watched = replace(
        project,
        name="native-threads",
        definitions={
            **project.definitions,
            "SE_TESTS": "ON",
            "SE_SANITIZE": "thread",
            "SE_SANITIZER_RUNTIME": str(runtime),
        },
        leave_out=("engines",),
    )
    native.prepare(host, engines=native.ALL_ENGINES)
    return build_project(watched, host) / "bin"


def test_three_managers_share_nothing_that_is_not_guarded(programs: Path, tmp_path: Path) -> None:
    text = random_gguf.write(tmp_path / "text.gguf")
    speech = random_whisper.write(tmp_path / "speech.bin")
    source = packaging.find(str(random_diffusion.write(tmp_path / "random.safetensors")))
    bundle = tmp_path / "random.host"
    packaging.package(source, profiles.host(), PackageOptions(), bundle)
    words = [programs / "managers-test", text, speech, bundle]
    done = run(words, timeout_s=600, env=ENVIRONMENT)
    assert "three managers at once give the same output as alone" in done.stdout


def test_calls_on_one_model_share_nothing_that_is_not_guarded(
    programs: Path, tmp_path: Path
) -> None:
    compiled = made_bundles.made(packaging.TINY, options=PackageOptions(quantization="q4")).folder
    for model in (random_gguf.write(tmp_path / "text.gguf"), compiled):
        done = run([programs / "sequences-test", model], timeout_s=600, env=ENVIRONMENT)
        assert "as they do alone" in done.stdout
