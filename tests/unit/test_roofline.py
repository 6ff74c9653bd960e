"""The upper bounds of speed, by hand."""

from __future__ import annotations

from sphere_edge import profiles
from sphere_edge.fit.memory import Choice, ModelSpec, predict
from sphere_edge.fit.roofline import Roofline, operations_per_s, roofline

SPEC = ModelSpec(
    name="half a billion",
    parameters=500_000_000,
    weights_bytes={"q4": 281_250_000},
    layers=24,
    query_heads=14,
    kv_heads=2,
    key_dim=64,
    value_dim=64,
    hidden=896,
    intermediate=4864,
    vocab=151936,
    context_tokens=32768,
)
CHOICE = Choice("q4", 2048, "float16")


def test_decode_is_bounded_by_what_every_token_reads() -> None:
    phone = profiles.load("galaxy-s23")
    cache = predict(SPEC, CHOICE).kv_cache_bytes
    assert cache == 24 * 2 * 128 * 2048 * 2
    assert roofline("qwen2", SPEC, CHOICE, phone).decode == 64e9 / (281_250_000 + cache / 2)


def test_prefill_is_bounded_by_the_gpu_that_the_profile_prefers() -> None:
    phone = profiles.load("galaxy-s23")
    # In float16, which takes half the time.
    assert roofline("qwen2", SPEC, CHOICE, phone).prefill == 2 * 3.48e12 / 1e9
    assert phone.gpu is not None
    plain = phone.model_copy(update={"gpu": phone.gpu.model_copy(update={"half_precision": False})})
    assert roofline("qwen2", SPEC, CHOICE, plain).prefill == 3.48e12 / 1e9


def test_a_cpu_counts_its_large_cores_at_their_clocks() -> None:
    # 4 Cortex-A76 at 2.4 GHz, two units of four bytes times four lanes, two operations each.
    assert operations_per_s(profiles.load("raspberry-pi-5")) == 4 * 2.4e9 * 64
    phone = profiles.load("pixel10")
    assert operations_per_s(phone) == (3.78e9 + 5 * 3.05e9) * 128


def test_a_mixture_of_experts_has_no_bound_as_a_token_reads_only_some_of_it() -> None:
    phone = profiles.load("galaxy-s23")
    for family in ("qwen3_moe", "gpt_oss", "gpt-oss"):
        assert roofline(family, SPEC, CHOICE, phone) == Roofline(None, None)


def test_what_is_not_known_gives_no_bound() -> None:
    host = profiles.host()
    bounds = roofline("qwen2", SPEC, CHOICE, host)
    assert bounds.decode is None
    assert bounds.prefill is None
