"""clang's OpenCL front end takes every kernel of tiny bundles for phones, in float16."""

from __future__ import annotations

import opencl_front_end as front_end
import opencl_in_library
import pytest
from catalogue_bundles import Bundles


@pytest.fixture(scope="module")
def clang():
    found = front_end.compiler()
    if found is None:
        pytest.skip("no clang is installed (Debian: clang-16)")
    return found


@pytest.mark.parametrize("gpu", front_end.FAMILIES)
@pytest.mark.parametrize("model", front_end.MODELS)
def test_every_kernel_compiles_within_the_limits_of_a_phones_gpu(clang, gpu, model):
    text = front_end.source(model, gpu, "q4")
    assert "half4" in text
    assert front_end.complaints(text, clang) == []


@pytest.mark.parametrize("phone", ["pixel8", "galaxy-s24"])
def test_every_kernel_of_a_phones_bundle_compiles_too(
    clang: str, bundles: Bundles, phone: str
) -> None:
    text = opencl_in_library.source(bundles.of(phone).folder / "lib" / "model-opencl.so")
    for kind in ("take", "rms_norm", "linear_q4", "gated_silu", "rotate_and_store", "attend"):
        assert f"// Function: {kind}" in text
    assert "half4" in text
    assert "merge_state" not in text
    assert front_end.complaints(text, clang) == []


def test_a_kernel_that_is_wrong_or_takes_too_much_local_memory_is_refused(clang):
    text = front_end.source(front_end.MODELS[0], "mali", "q8")
    assert front_end.complaints(text.replace("get_local_id(0)", "get_local_ix(0)", 1), clang)
    too_much = "// Function: much\n__kernel void much() {\n  __local float4 big[2049];\n}\n"
    assert any("local memory" in line for line in front_end.complaints(text + too_much, clang))
