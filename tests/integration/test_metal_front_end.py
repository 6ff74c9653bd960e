"""A stand-in for Metal's compiler takes every kernel of bundles for Apple's GPUs, in float16."""

from __future__ import annotations

import metal_front_end as front_end
import pytest
from catalogue_bundles import Bundles


@pytest.mark.parametrize("model", front_end.MODELS)
def test_every_kernel_is_right_metal(model: str) -> None:
    programs = front_end.of_golden(model, "q4")
    assert any("half4" in text for text in programs)
    assert front_end.complaints(programs) == []


@pytest.mark.parametrize("device", ["mac-m2", "iphone15-pro"])
def test_every_kernel_of_an_apple_devices_bundle_is_too(bundles: Bundles, device: str) -> None:
    programs = front_end.of_bundle(bundles.of(device).folder)
    for kind in ("take", "rms_norm", "linear_q4", "gated_silu", "rotate_and_store", "attend"):
        assert any(f"{kind}_" in text and "kernel void" in text for text in programs), kind
    assert front_end.complaints(programs) == []


RIGHT = """#include <metal_stdlib>
using namespace metal;
struct norm_args_t { long n; };
kernel void norm(device half* x [[ buffer(0) ]], device float* y [[ buffer(1) ]],
  constant norm_args_t& arg [[ buffer(2) ]],
  uint2 block [[threadgroup_position_in_grid]], uint2 at [[thread_position_in_threadgroup]]) {
  threadgroup float4 shared[64];
  float4 wide = float4(*(device half4*)(x + arg.n));
  shared[at.x] = select(wide, wide * 2.0f, wide < float4(0.0f));
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[block.x] = precise::exp(simd_sum(shared[0].w)) + as_type<float>(at.y);
}
"""


def test_right_metal_is_taken() -> None:
    assert front_end.complaints([RIGHT]) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("float4(*(", "(*(", "no viable conversion from"),
        ("float4(*(device half4*)(x", "(*(device float4*)(y", None),
        ("wide * 2.0f", "wide * half4(2.0f)", "invalid operands"),
        ("(device half4*)(x + arg.n)", "(device half4*)(shared)", "mismatching address spaces"),
        ("float4 wide", "device float* z = (threadgroup float*)shared; float4 wide", "initialize"),
        ("float4 wide", "float* z = y; float4 wide", "no address space: `float*`"),
        ("arg.n));", "min(arg.n, 1)));", "'min' is ambiguous"),
        ("precise::exp(", "erf(", "undeclared identifier 'erf'"),
        ("at.y)", "get_local_id(0))", "undeclared identifier 'get_local_id'"),
        ("at.y)", "x[0])", "no matching function for call to 'as_type'"),
        ("simd_sum(", "double(", "'double' requires"),
        ("wide <", "arg.n = 1; wide <", "not assignable"),
        ("device half* x", "global half* x", "poisoned"),
        ("threadgroup_position_in_grid", "group_position", "unknown attribute"),
        ("uint2 at", "uint3 at", "positions of several types"),
        ("shared[64]", "shared[2048]", None),
        ("shared[64]", "shared[2049]", "32784 bytes of threadgroup memory"),
        ("shared[64]", "shared[64 * 40]", "of an unknown size"),
        ("buffer(2)", "buffer(30)", None),
        ("buffer(2)", "buffer(31)", "a kernel takes 31 buffers"),
        ("buffer(2)", "buffer(1)", "buffer 1 twice"),
    ],
)
def test_wrong_metal_is_not(before: str, after: str, said: str | None) -> None:
    assert before in RIGHT
    wrong = "\n".join(front_end.complaints([RIGHT.replace(before, after, 1)]))
    assert wrong == "" if said is None else said in wrong


def test_a_fault_in_one_of_our_kernels_is_named() -> None:
    programs = front_end.of_golden(front_end.MODELS[0], "q8")
    for number, text in enumerate(programs):
        if "kernel void attend_many_kernel(" in text:
            programs[number] = text.replace("exp(", "expf(", 1)
    wrong = "\n".join(front_end.complaints(programs))
    assert "attend_many_kernel:" in wrong
    assert "'expf'" in wrong
