"""The NEON kernels against numpy, under qemu: the very checks that other kernels pass at home."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

import emulator
import kernel_calls
import test_kernels_attention as attention
import test_kernels_elementwise as elementwise
import test_kernels_experts as experts
import test_kernels_linear as linear

from tests.attention_reference import SPECS

pytestmark = [
    pytest.mark.group("kernels"),
    pytest.mark.skipif(
        emulator.QEMU is None, reason="needs qemu-aarch64 (Debian: qemu-user-static)"
    ),
]
_ISA = "neon_dotprod"


@pytest.fixture(autouse=True)
def under_qemu(monkeypatch, tmp_path):
    """Sends calls of kernels for NEON to the emulator."""

    def call(kernel, isa, *arguments):
        module = kernel_calls.build(kernel, emulator.TARGETS[isa])
        emulator.run(emulator.link(module, tmp_path), isa, arguments)

    for checks in (attention, elementwise, experts, linear):
        monkeypatch.setattr(checks, "call", call)


@pytest.mark.parametrize("name", linear.FORMATS)
@pytest.mark.parametrize(("rows", "columns", "n"), [(37, 70, 1), (18, 96, 21)])
def test_a_linear_layer_agrees_with_numpy(name, rows, columns, n):
    linear.test_a_linear_layer_agrees_with_numpy(_ISA, name, rows, columns, n, True)


@pytest.mark.parametrize("name", ["q8", "q4", "mxfp4"])
@pytest.mark.parametrize(("rows", "columns", "n"), [(37, 70, 3), (18, 96, 21)])
def test_a_linear_layer_that_multiplies_small_matrices_agrees_with_numpy(name, rows, columns, n):
    check = linear.test_a_linear_layer_agrees_with_numpy
    check("neon_i8mm", name, rows, columns, n, True)


@pytest.mark.parametrize("name", ["q8", "q4", "mxfp4"])
def test_integer_sums_do_not_overflow_at_the_largest_weights(name):
    linear.test_integer_sums_do_not_overflow_at_the_largest_weights(_ISA, name, 3)


def test_embedding_rows_are_the_stored_ones():
    linear.test_embedding_rows_are_the_stored_ones_and_ids_out_of_range_stay_inside(_ISA, "q4")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rope_rotates_q_and_k_and_writes_only_its_rows_of_the_cache(dtype):
    check = attention.test_rope_rotates_q_and_k_and_writes_only_its_rows_of_the_cache
    check(_ISA, dtype, SPECS["grouped"])


@pytest.mark.parametrize("n", [1, 37])
@pytest.mark.parametrize(
    "name", ["grouped", "odd sizes, window, softcap, interleaved"], ids=["grouped", "odd"]
)
def test_attention_agrees_with_numpy(name, n):
    attention._check_attention(_ISA, "float16", SPECS[name], n, 131)


def test_norm_and_activation_agree_with_numpy():
    elementwise.test_rms_norm_with_residual_gives_norm_and_sum(_ISA, 3, 70)
    elementwise.test_a_gated_activation_agrees_with_numpy(_ISA, "silu", 3, 70)


@pytest.mark.parametrize("n", [1, 29])
def test_each_pair_is_multiplied_with_its_own_expert(n):
    experts.test_each_pair_is_multiplied_with_its_own_expert(_ISA, "mxfp4", True, n)
