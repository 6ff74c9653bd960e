"""Targets: which CPU gets which kernels, and which instructions their machine code holds."""

from __future__ import annotations

import pytest
from kernel_calls import ISAS, build

from sphere_edge.compiler.kernels.decode_attention import decode_attention
from sphere_edge.compiler.kernels.linear import Shape, linear
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.errors import UnsupportedError
from sphere_edge.models.kernels import Attention

_X86, _ARM = "x86_64-linux-gnu", "aarch64-linux-android"


@pytest.mark.parametrize(
    ("triple", "features", "isa"),
    [
        (_X86, {"avx512vnni", "avx2", "fma", "f16c"}, "avx512vnni"),
        (_X86, {"avx512vnni"}, "generic"),
        (_X86, {"avx2", "fma", "f16c"}, "avx2"),
        (_X86, {"avx2", "fma"}, "generic"),
        (_ARM, {"neon", "dotprod", "i8mm"}, "neon_i8mm"),
        (_ARM, {"neon", "dotprod", "fp16"}, "neon_dotprod"),
        ("arm64-apple-ios15.0", {"neon", "dotprod"}, "neon_dotprod"),
        (_ARM, {"neon"}, "generic"),
        (_ARM, {"avx2", "fma", "f16c"}, "generic"),
    ],
)
def test_a_device_gets_the_best_kernels_that_its_features_allow(triple, features, isa):
    target = CpuTarget.of(triple, features)
    assert target.isa == isa
    assert set(target.cpu_features) <= features
    assert target.row_block == ISAS[isa].lanes


def test_an_architecture_without_kernels_is_refused():
    with pytest.raises(UnsupportedError, match="riscv64"):
        CpuTarget.of("riscv64-linux-gnu", {"neon"})


def _assembly(kernel, target):
    return build(kernel, target).inspect_source("asm")


@pytest.mark.parametrize(
    ("triple", "isa", "q4", "q8"),
    [
        (_X86, "avx512vnni", {"vpdpbusd", "vcvtph2ps", "zmm"}, {"vpdpbusd", "zmm"}),
        (_X86, "avx2", {"vpmaddubsw", "vcvtph2ps", "ymm"}, {"vpmaddubsw", "vpsignb"}),
        (_ARM, "neon_dotprod", {"sdot", "fcvtl"}, {"sdot"}),
        ("aarch64-linux-gnu", "neon_dotprod", {"sdot"}, {"sdot"}),
        ("arm64-apple-ios15.0", "neon_dotprod", {"sdot"}, {"sdot"}),
    ],
)
def test_linear_layers_use_the_integer_dot_product_of_the_cpu(triple, isa, q4, q8):
    target = CpuTarget(triple, isa)
    for name, wanted in (("q4", q4), ("q8", q8)):
        for single in (True, False):
            shape = Shape(64, 64, single, False)
            text = _assembly(linear(ISAS[isa], target.weight_format(name), shape), target)
            assert all(word in text for word in wanted), (name, single)


@pytest.mark.parametrize("triple", [_ARM, "aarch64-linux-gnu", "arm64-apple-ios15.0"])
def test_with_i8mm_many_rows_are_multiplied_as_small_matrices_and_one_row_is_not(triple):
    target = CpuTarget(triple, "neon_i8mm")
    for name in ("q4", "q8"):
        for single, wanted in ((True, "sdot"), (False, "smmla")):
            shape = Shape(64, 64, single, False)
            text = _assembly(linear(ISAS["neon_i8mm"], target.weight_format(name), shape), target)
            assert wanted in text, (name, single)


@pytest.mark.parametrize("triple", [_X86, "aarch64-linux-gnu"])
def test_generic_code_needs_no_feature_and_no_compiler_library(triple):
    target = CpuTarget(triple, "generic")
    shape = Shape(64, 64, True, False)
    attention = Attention(4, 2, 64, scale=0.125, rotary_dim=64)
    kernels = [linear(ISAS["generic"], target.weight_format(name), shape) for name in ("q4", "f16")]
    kernels.append(decode_attention(ISAS["generic"], attention, "float16"))
    for kernel in kernels:
        text = _assembly(kernel, target)
        assert not any(word in text for word in ("ymm", "zmm", "sdot", "vcvtph2ps"))
        calls = [line for line in text.splitlines() if "\tcall" in line or "\tbl\t" in line]
        assert not any("hfsf2" in line or "sfhf2" in line for line in calls)


@pytest.mark.parametrize(
    ("triple", "isa", "conversion"),
    [
        (_X86, "avx512vnni", "vcvtph2ps"),
        (_X86, "avx2", "vcvtph2ps"),
        (_ARM, "neon_dotprod", "fcvtl"),
    ],
)
def test_a_half_precision_cache_is_read_by_the_cpus_own_conversion(triple, isa, conversion):
    attention = Attention(4, 2, 64, scale=0.125, rotary_dim=64)
    kernel = decode_attention(ISAS[isa], attention, "float16")
    assert conversion in _assembly(kernel, CpuTarget(triple, isa))
