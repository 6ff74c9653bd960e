"""llama.cpp's tests of chats pass with our build; ours of formats, forged tokens and long texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge.run import run
from sphere_edge.toolchain import sources
from tests.integration import sanitized

pytestmark = pytest.mark.group("sanitizers")

FORMATS = Path(__file__).parents[1] / "data" / "chat_formats"

VOCABULARIES = (
    *("llama-bpe", "llama-spm", "qwen2", "qwen35", "gemma-4", "phi-3", "command-r"),
    *("deepseek-llm", "deepseek-coder", "falcon", "starcoder", "gpt-2"),
)


@pytest.mark.parametrize("name", ["llama-test-chat", "llama-test-chat-auto-parser"])
def test_its_own_tests_pass(programs: Path, name: str) -> None:
    # It reads its templates from the folder it is started in.
    run([programs / name], timeout_s=1200, cwd=sources.fetch("llama_cpp_tests"))


def check_format(programs: Path, template: Path) -> None:
    vocabulary = sources.fetch("llama_cpp_tests") / "models" / "ggml-vocab-llama-bpe.gguf"
    words = (vocabulary, FORMATS / "cases.json", template.stem, template)
    assert "passed" in sanitized.program(programs, "chat-formats-test", *words).stdout


@pytest.mark.parametrize("name", ["gemma3", "function_gemma", "phi4_mini"])
def test_answers_in_formats_of_our_own_are_read_and_constrained(programs: Path, name: str) -> None:
    check_format(programs, FORMATS / f"{name}.jinja")


@pytest.mark.parametrize(
    "name",
    [
        "meta-llama-Llama-3.3-70B-Instruct",  # a call is JSON as an answer is
        "Qwen-Qwen3-0.6B",
        "openai-gpt-oss-120b",
        "meetkai-functionary-medium-v3.2",  # llama.cpp knows no schemas in these two
        "Kimi-K2-Instruct",
    ],
)
def test_answers_that_are_calls_or_follow_a_schema_are_both(programs: Path, name: str) -> None:
    check_format(programs, sources.fetch("llama_cpp_tests") / "models/templates" / f"{name}.jinja")


def test_special_tokens_of_real_vocabularies_cannot_be_forged(programs: Path) -> None:
    models = sources.fetch("llama_cpp_tests") / "models"
    paths = [models / f"ggml-vocab-{name}.gguf" for name in VOCABULARIES]
    done = sanitized.program(programs, "forged-tokens-test", *paths)
    assert done.stdout.count("0 failures") == len(VOCABULARIES)


def test_long_texts_have_the_same_tokens_in_pieces(programs: Path) -> None:
    models = sources.fetch("llama_cpp_tests") / "models"
    names = (*VOCABULARIES, "bert-bge", "mpt", "refact", "baichuan", "aquila", "gpt-neox")
    paths = [models / f"ggml-vocab-{name}.gguf" for name in names]
    done = sanitized.program(programs, "long-texts-test", *paths)
    assert done.stdout.count(" 0 failures") == len(names)
