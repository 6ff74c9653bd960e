"""From what a runner measured to a validation result, and to the kernel that is to blame."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sphere_edge.bundle.read import read_manifest
from sphere_edge.bundle.reference import KernelCall, KernelOutput, Reference, Row, Step
from sphere_edge.certify import kernels
from sphere_edge.certify.on_device import Installed, Settings, Subject, failed_to_run
from sphere_edge.certify.tolerance import tolerance
from sphere_edge.certify.validation import Expected, read_report, validate
from sphere_edge.certify.validation_result import ValidationResults, as_text, read_results
from sphere_edge.errors import InternalError, UnsupportedError

ALLOWED = tolerance("q4", kv_dtype="float16")
GOLDEN = Path(__file__).parent.parent / "data" / "golden.bundle"
STEP = {
    "name": "prefill 17",
    "length": 17,
    "runs": 2,
    "rows": 2,
    "repeats": True,
    "non_finite": 0,
    "largest": 0.2,
    "mean": 0.05,
    "log_sum_exp": 0.01,
    "wrong_tokens": 0,
    "wrong_margin": 0.0,
}


def output(*samples: float) -> KernelOutput:
    norm = sum(number * number for number in samples) ** 0.5
    return KernelOutput(columns=len(samples), norm=norm, samples=samples)


CALLS = tuple(
    KernelCall(kind=kind, label=f"{kind} (layer)", outputs=(output(1.0, 2.0, -2.0, 0.5),))
    for kind in ("take", "linear", "attend", "linear")
)
REFERENCE = Reference(
    made_by="float64",
    vocabulary=8,
    tokens=(1, 2, 3),
    detour=(),
    columns=(0, 7),
    rows=(Row(position=3, token=1, margin=1.0, log_sum_exp=2.0, deviation=4.0),),
    steps=(Step(name="prefill 3", length=3),),
    trace_tokens=1,
    kernels=CALLS,
)


def result(**changes: object):
    report = {
        "engine": "tvm",
        "backend": "cpu",
        "threads": 2,
        "repeat": 2,
        "seconds": 1.0,
        "version": "0.1.0",
        "steps": [{**STEP, **changes}],
    }
    expected = Expected("b" * 64, REFERENCE, ALLOWED, short=False)
    return validate(read_report(json.dumps(report)), expected)


def test_what_is_within_the_tolerance_is_certified_and_can_be_kept():
    found = result()
    assert found.certified
    assert (found.mean, found.largest, found.agreement) == (0.05 / 4, 0.2 / 4, 1.0)
    assert "certified on cpu" in found.summary
    kept = ValidationResults().with_one(found)
    assert read_results(as_text(kept)) == kept
    assert read_results("{").results == ()


def test_results_are_kept_per_backend_and_only_of_one_bundle():
    first = result()
    missing = UnsupportedError("OpenCL finds no device here")
    manifest = read_manifest(GOLDEN).model_copy(update={"id": first.bundle})
    subject = Subject(Installed((), ""), manifest, REFERENCE)
    other = failed_to_run(subject, Settings(repeat=2, short=True), "opencl", missing)
    both = ValidationResults().with_one(first).with_one(other).with_one(first)
    assert both.on("cpu") == first
    assert both.on("opencl") == other
    assert both.on("metal") is None
    assert other.summary == "failed on opencl: it does not run: OpenCL finds no device here"
    newer = first.model_copy(update={"bundle": "c" * 64})
    assert both.with_one(newer).results == (newer,)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"non_finite": 1}, "not finite"),
        ({"repeats": False}, "different logits"),
        ({"mean": 4 * 0.07}, "on average"),
        ({"largest": 4 * 0.5}, "at most"),
        ({"log_sum_exp": 4 * 0.5}, "sum of probabilities"),
        ({"wrong_tokens": 1, "wrong_margin": 4 * 0.9}, "another token"),
        ({"rows": 0}, "nothing was compared"),
    ],
)
def test_each_kind_of_difference_is_refused_with_its_reason(changes, reason):
    found = result(**changes)
    assert not found.certified
    assert reason in found.reasons[0]
    assert reason in found.failure("adb:1").message


def test_a_token_that_was_nearly_as_likely_may_come_out_instead():
    assert result(wrong_tokens=1, wrong_margin=4 * 0.1).certified


@pytest.mark.parametrize("text", ["", "{}", '{"steps": []}', '{"steps": [{"mean": NaN}]}'])
def test_what_is_not_a_report_is_an_error(text):
    with pytest.raises(InternalError):
        read_report(text)


def traced(*rows: tuple[float | None, ...]):
    """What a device reports of its kernels: builtins in between, results as the last tensor."""
    calls = [{"kernel": "vm.builtin.alloc_tensor", "tensors": []}]
    for call, row in zip(CALLS, rows, strict=True):
        finite = [number or 0.0 for number in row]
        tensor = {
            "columns": len(row),
            "norm": sum(number * number for number in finite) ** 0.5,
            "non_finite": sum(number is None for number in row),
            "samples": list(row),
        }
        calls.append({"kernel": f"{call.kind}_q4_many", "tensors": [tensor]})
    return {"kernels": calls}


RIGHT = (1.0, 2.0, -2.0, 0.5)
ROUGH = (1.01, 1.99, -2.01, 0.5)


def test_the_first_kernel_that_is_suddenly_worse_is_named():
    assert kernels.first_wrong(traced(RIGHT, ROUGH, ROUGH, ROUGH), REFERENCE, ALLOWED) is None
    off = (1.3, 2.0, -2.0, 0.5)
    named = kernels.first_wrong(traced(RIGHT, ROUGH, off, off), REFERENCE, ALLOWED)
    assert named is not None
    assert named.startswith("`attend_q4_many`, attend (layer), is off by")
    lost = kernels.first_wrong(traced(RIGHT, (None, 2.0, -2.0, 0.5), off, off), REFERENCE, ALLOWED)
    assert lost == "`linear_q4_many`, linear (layer), is not finite"


def test_attention_in_two_steps_is_validated_by_the_second():
    answer = traced(RIGHT, RIGHT, RIGHT, RIGHT)
    merged = {"kernel": "attend_merge", "tensors": answer["kernels"][3]["tensors"]}
    answer["kernels"][3] = {"kernel": "attend_one", "tensors": []}
    answer["kernels"].insert(4, merged)
    assert kernels.first_wrong(answer, REFERENCE, ALLOWED) is None
    merged["tensors"][0]["samples"] = [1.5, 2.0, -2.0, 0.5]
    named = kernels.first_wrong(answer, REFERENCE, ALLOWED)
    assert named is not None
    assert named.startswith("`attend_one + attend_merge`, attend (layer)")


def test_other_kernels_than_the_references_name_none():
    answer = traced(RIGHT, RIGHT, RIGHT, (9.0, 9.0, 9.0, 9.0))
    answer["kernels"].pop()
    assert kernels.first_wrong(answer, REFERENCE, ALLOWED) is None
    with pytest.raises(InternalError):
        kernels.first_wrong({"kernels": [{}]}, REFERENCE, ALLOWED)
