"""Q4_1 and Q5_1 weights times several rows at once: the numbers of each row alone."""

from __future__ import annotations

import platform
from pathlib import Path

import gguf
import numpy as np
import pytest

from sphere_edge import resources
from sphere_edge.run import run
from sphere_edge.runtime.text import TextManager
from sphere_edge.toolchain import archives, compilers, sources, targets
from tests import random_gguf

TYPES = gguf.GGMLQuantizationType


@pytest.mark.parametrize("weights", [TYPES.Q4_1, TYPES.Q5_1], ids=lambda weights: weights.name)
def test_a_prompt_gives_the_logits_of_its_tokens_one_by_one(
    tmp_path: Path, weights: gguf.GGMLQuantizationType
) -> None:
    model = random_gguf.write(tmp_path / "random.gguf", weights=weights)
    tokens = np.random.default_rng(3).integers(0, 256, 150).tolist()
    with TextManager.open(model, threads=2, context_tokens=256) as text:
        # The prompt that each continues is in the cache: one row is computed.
        alone = np.stack([text.next_logits(tokens[: end + 1]) for end in range(len(tokens))])
        for count in (2, 3, 4, 6, 7, 33, 63):
            text.reset()
            np.testing.assert_array_equal(text.logits(tokens[:count]), alone[:count])
        # From 64 rows on, ggml's attention adds up in another order, and rounded numbers differ.
        text.reset()
        assert np.corrcoef(text.next_logits(tokens), alone[-1])[0, 1] > 0.99
    assert np.ptp(alone) > 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="by design: our products are for x86-64")
@pytest.mark.parametrize("cpu", ["x86_64_v3", "native"])
def test_the_products_are_those_of_ggmls_kernel_for_one_row_bit_by_bit(
    tmp_path: Path, cpu: str
) -> None:
    host = targets.host()
    archives.build(("ggml", "vocab"), host)
    src = resources.folder("native") / "src"
    llama = sources.folder(sources.SOURCES["llama_cpp"])
    flags = [f"-mcpu={cpu}", "-std=c11", "-O2", "-D_GNU_SOURCE", "-DGGML_USE_CPU", "-I", src]
    for part in ("src", "src/ggml-cpu", "include"):
        flags += ["-isystem", llama / "ggml" / part]
    code = tmp_path / "rows.o"
    main = Path(__file__).with_name("ggml_rows_main.c")
    environment = compilers.environment()
    run([compilers.zig(), "cc", *flags, "-c", main, "-o", code], timeout_s=600, env=environment)
    made = [archives.folder("ggml", host) / name for name in ("libggml-cpu.a", "libggml_rest.a")]
    made += [archives.folder("vocab", host) / "libggml-base.a"]
    libraries = ["-Wl,--gc-sections", "-Wl,--start-group", *made, "-Wl,--end-group", "-lm"]
    program = tmp_path / "rows"
    words = ["c++", code, *libraries, "-o", program]
    run([compilers.zig(), *words], timeout_s=600, env=environment)
    assert run([program], timeout_s=60).stdout == "the same\n"
