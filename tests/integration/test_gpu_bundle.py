"""A bundle with CPU and GPU code: the same answers from both, and no silent choice between them."""

from __future__ import annotations

import json
import shutil

import pytest

from sphere_edge import errors
from sphere_edge.runtime.text import TextManager
from tests import manifest_corpus

_PROMPTS = ("What is the capital of France?", "Is fire hot?", "Count from one to five.")


@pytest.fixture
def bundle(gpu_bundle):
    return gpu_bundle.folder


def _answers(text):
    answers = []
    for prompt in _PROMPTS:
        messages = [{"role": "user", "content": prompt}]
        answers.append("".join(text.chat(messages, temperature=0, max_tokens=32)))
    return answers


def test_gpu_and_cpu_give_the_same_greedy_text(bundle):
    with TextManager.open(bundle) as text:
        assert (text.info.backend, text.info.backend_reason) == ("opencl", "")
        assert text.info.device
        on_gpu = _answers(text)
    with TextManager.open(bundle, backend="cpu") as text:
        assert (text.info.backend, text.info.device) == ("cpu", "")
        assert _answers(text) == on_gpu


def test_two_models_share_the_gpu(bundle):
    with TextManager.open(bundle) as one, TextManager.open(bundle) as other:
        assert _answers(one) == _answers(other)


def test_a_backend_that_the_bundle_has_no_code_for_is_refused(bundle):
    with pytest.raises(errors.UnsupportedError, match="no code for the backend `cuda`"):
        TextManager.open(bundle, backend="cuda")


def test_code_for_another_kind_of_gpu_falls_back_with_the_reason_and_only_if_it_may(
    bundle, tmp_path
):
    """PoCL computes no float16: a bundle that says it needs that does not run there."""
    copy = tmp_path / "half"
    shutil.copytree(bundle, copy)
    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["tvm"]["gpu"]["arithmetic"] = "float16"
    manifest_corpus.write(copy, manifest)
    with TextManager.open(copy) as text:
        if text.info.backend == "opencl":
            pytest.skip("the OpenCL device here computes float16")
        assert text.info.backend == "cpu"
        assert "does not compute in float16" in text.info.backend_reason
    with pytest.raises(errors.UnsupportedError, match="float16"):
        TextManager.open(copy, backend="opencl")


def test_a_context_beyond_the_gpus_memory_is_refused_before_anything_is_allocated(bundle, tmp_path):
    most = 2**31 - 1
    copy = shutil.copytree(bundle, tmp_path / "copy")
    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["text"]["context_tokens"] = most
    manifest_corpus.write(copy, manifest)
    with pytest.raises(errors.OutOfMemoryError):
        TextManager.open(copy, backend="opencl", context_tokens=most)
    with pytest.raises(errors.InvalidArgumentError, match="of the bundle"):
        TextManager.open(bundle, backend="opencl", context_tokens=most)
