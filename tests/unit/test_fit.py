"""The memory prediction adds up, and a refusal names changes that really help."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sphere_edge.compiler.kernels.gpu_tuning import TUNINGS
from sphere_edge.errors import OutOfMemoryError, Status
from sphere_edge.fit.memory import SPLIT_KEYS, Choice, ModelSpec, changes, check, fit, predict
from sphere_edge.profiles import DeviceProfile, Gpu

GIB = 2**30
# The sizes of Qwen2.5-0.5B: https://huggingface.co/Qwen/Qwen2.5-0.5B/blob/main/config.json
QWEN = ModelSpec(
    name="qwen2.5-0.5b",
    parameters=494_032_768,
    weights_bytes={"f32": 1_976_131_072, "f16": 988_065_536, "q8": 525_000_000, "q4": 278_000_000},
    layers=24,
    query_heads=14,
    kv_heads=2,
    key_dim=64,
    value_dim=64,
    hidden=896,
    intermediate=4864,
    vocab=151_936,
    context_tokens=32_768,
)


def device(usable_bytes: int, gpu_bytes: int | None = None) -> DeviceProfile:
    """A board; `gpu_bytes`: with a graphics card that lets a program use so many."""
    fields: dict[str, Any] = {
        "name": "board",
        "title": "a board",
        "os": "linux",
        "triple": "aarch64-unknown-linux-gnu",
        "cpu": {"features": ["neon"], "performance_cores": 4},
        "memory": {"total_bytes": 64 * GIB, "usable_bytes": usable_bytes},
        "sources": {"cpu": "made up", "memory": "made up"},
    }
    if gpu_bytes is not None:
        sizes = {"memory_bytes": 2 * gpu_bytes, "usable_memory_bytes": gpu_bytes}
        fields["gpu"] = {"name": "a card", "api": "cuda", "unified": False, **sizes}
        fields["sources"]["gpu"] = "made up"
    return DeviceProfile.model_validate(fields)


def test_the_kv_cache_is_layers_times_heads_times_features_times_context() -> None:
    memory = predict(QWEN, Choice("q4", 1024, "float16"))
    assert memory.kv_cache_bytes == 24 * 2 * (64 + 64) * 1024 * 2
    assert predict(QWEN, Choice("q4", 1024, "float32")).kv_cache_bytes == 2 * memory.kv_cache_bytes


def test_a_batch_of_a_compiled_model_leaves_sums_for_each_part_of_the_context() -> None:
    compiled = dataclasses.replace(QWEN, is_compiled=True)
    for tokens, batch in ((32_768, 1), (32_768, 8), (1000, 8)):
        choice = Choice("q4", tokens, "float16", sequences=1 if batch == 1 else 4)
        more = predict(compiled, choice).workspace_bytes - predict(QWEN, choice).workspace_bytes
        parts = {32_768: 512, 1000: 16}[tokens]
        assert more == batch * parts * 14 * (64 + 2) * 4


def test_no_kernel_divides_the_context_into_more_parts_than_are_counted() -> None:
    assert min(tuning.split_keys for tuning in TUNINGS.values()) == SPLIT_KEYS


def test_every_conversation_at_once_has_its_own_kv_cache() -> None:
    one, four = (Choice("q4", 1024, "float16", sequences) for sequences in (1, 4))
    alone, together = predict(QWEN, one), predict(QWEN, four)
    assert together.kv_cache_bytes == 4 * alone.kv_cache_bytes
    assert together.weights_bytes == alone.weights_bytes
    profile = device(700 * 2**20)
    longest = [fit(QWEN, choice, profile).longest_context for choice in (one, four)]
    assert longest[0] // 5 < longest[1] <= longest[0] // 4


def test_the_peak_holds_all_of_its_parts() -> None:
    memory = predict(QWEN, Choice("q8", 2048, "float16"))
    parts = memory.weights_bytes + memory.kv_cache_bytes + memory.workspace_bytes
    assert 0 < memory.peak_bytes - parts < 128 * 2**20
    assert memory.weights_bytes == QWEN.weights_bytes["q8"]


def test_every_expert_of_a_token_needs_workspace() -> None:
    mixture = dataclasses.replace(QWEN, intermediate=768, experts_per_token=8)
    choice = Choice("q4", 1024, "float16")
    grown = predict(mixture, choice).workspace_bytes - predict(QWEN, choice).workspace_bytes
    rows = 3 * (8 * 768 - 4864) + 8 * 896
    assert grown == 512 * (4 * rows + 8 * 768 - 4864)


def test_what_fits_is_let_through() -> None:
    choice = Choice("q4", 2048, "float16")
    assert check(QWEN, choice, device(GIB)) == predict(QWEN, choice)


def test_what_does_not_fit_is_refused_with_changes_that_make_it_fit() -> None:
    choice, profile = Choice("f16", 8192, "float32"), device(GIB)
    with pytest.raises(OutOfMemoryError) as caught:
        check(QWEN, choice, profile)
    assert caught.value.code is Status.OOM_RAM
    offers = changes(QWEN, choice, profile)
    assert [offer.is_enough for offer in offers] == [True, False, False]
    assert offers[0].flags == "--quant q8"
    for offer in offers:
        saved = predict(QWEN, choice).peak_bytes - predict(QWEN, offer.choice).peak_bytes
        assert offer.saves_bytes == saved > 0
        assert f"`{offer.flags}` saves" in (caught.value.hint or "")
    check(QWEN, offers[0].choice, profile)


def test_the_context_is_cut_no_more_than_needed() -> None:
    choice = Choice("q4", 32_768, "float16")
    profile = device(700 * 2**20)
    (shorter,) = [o for o in changes(QWEN, choice, profile) if "--context" in o.flags]
    assert shorter.is_enough
    twice = Choice("q4", 2 * shorter.choice.context_tokens, "float16")
    assert predict(QWEN, twice).peak_bytes > profile.memory.usable_bytes


def test_changes_that_only_help_together_are_said_to() -> None:
    choice, profile = Choice("f16", 32_768, "float32"), device(400 * 2**20)
    with pytest.raises(OutOfMemoryError) as caught:
        check(QWEN, choice, profile)
    assert "all of them together fit" in (caught.value.hint or "")


def test_a_model_that_can_never_fit_needs_a_smaller_model() -> None:
    with pytest.raises(OutOfMemoryError) as caught:
        check(QWEN, Choice("q4", 256, "float16"), device(100 * 2**20))
    assert "use a smaller model" in (caught.value.hint or "")


@pytest.mark.parametrize("usable", [300 * 2**20, 500 * 2**20, 700 * 2**20, GIB])
@pytest.mark.parametrize("sequences", [1, 3])
@pytest.mark.parametrize("is_compiled", [False, True])
def test_the_longest_context_is_the_longest(usable: int, sequences: int, is_compiled: bool) -> None:
    spec = dataclasses.replace(QWEN, is_compiled=is_compiled)
    found = fit(spec, Choice("q4", 4096, "float16", sequences), device(usable))
    longest = found.longest_context
    if longest == 0:
        assert not found.fits
        return
    assert predict(spec, Choice("q4", longest, "float16", sequences)).peak_bytes <= usable
    longer = predict(spec, Choice("q4", longest + 1, "float16", sequences)).peak_bytes
    assert longer > usable or longest == QWEN.context_tokens


def test_a_gpus_own_memory_is_counted_apart_from_the_ram() -> None:
    choice = Choice("q8", 2048, "float16")
    memory = predict(QWEN, choice)
    exact, less = device(GIB, memory.gpu_bytes), device(GIB, memory.gpu_bytes - 1)
    assert memory.gpu_bytes < memory.peak_bytes < GIB
    assert check(QWEN, choice, exact, "cuda") == memory
    # On the CPU nobody asks for it.
    assert check(QWEN, choice, less, "cpu") == memory
    with pytest.raises(
        OutOfMemoryError, match="needs .* on the GPU, `board` has .* of its own"
    ) as no:
        check(QWEN, choice, less, "cuda")
    assert no.value.code == Status.OOM_VRAM
    assert "`--context 1024` saves 12.0 MiB and fits" in str(no.value.hint)
    # The CPU takes over where a GPU fails, so the RAM must hold it all the same.
    with pytest.raises(OutOfMemoryError, match="an app on `.*` may use") as no:
        check(QWEN, choice, device(memory.peak_bytes - 1, GIB), "cuda")
    assert no.value.code == Status.OOM_RAM


def test_the_longest_context_is_what_the_smaller_memory_holds() -> None:
    choice = Choice("q8", 512, "float16")
    per_token = QWEN.kv_features * 2
    room = predict(QWEN, choice).gpu_bytes + 100 * per_token
    assert fit(QWEN, choice, device(8 * GIB, room), "cuda").longest_context == 612
    assert fit(QWEN, choice, device(8 * GIB, room), "cpu").longest_context == QWEN.context_tokens


@pytest.mark.parametrize(
    "gpu",
    [
        {"memory_bytes": "8 GiB", "unified": True},
        {"memory_bytes": "4 GiB", "usable_memory_bytes": "6 GiB", "unified": False},
    ],
)
def test_a_gpu_whose_memory_cannot_be_so_is_refused(gpu: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no memory of its own|more than memory_bytes"):
        Gpu.model_validate({"name": "a card", "api": "cuda", **gpu})
