"""No command imports what it does not use: that is most of the time until the first token."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sphere_edge import resources
from sphere_edge.run import run
from tests import random_gguf

# What is slow to import, or what only some commands, devices or models need.
HEAVY = frozenset(
    {
        *("PIL", "adbutils", "av", "cryptography", "gguf", "huggingface_hub", "jinja2"),
        *(
            "matplotlib",
            "numpy",
            "paramiko",
            "requests",
            "rich",
            "safetensors",
            "soundfile",
            "soxr",
            "tokenizers",
        ),
        *("torch", "transformers", "tvm", "tvm_ffi"),
    }
)
PROGRAM = """
import sys
from sphere_edge import __main__
code = __main__.main(sys.argv[2:])
with open(sys.argv[1], "w") as out:
    out.write("\\n".join({name.partition(".")[0] for name in sys.modules}))
sys.exit(code)
"""


def imported(folder: Path, *words: str | Path) -> set[str]:
    """The heavy packages that a command line has imported when it has done its work."""
    out = folder / "modules"
    run([sys.executable, "-c", PROGRAM, out, *words], timeout_s=900)
    return HEAVY & set(out.read_text().split())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_gguf.write(tmp_path_factory.mktemp("model") / "random.gguf")


@pytest.fixture(scope="module")
def once(model: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The runtime and the built-in model's bundle are in the cache."""
    folder = tmp_path_factory.mktemp("once")
    for path in (model, "tiny"):
        imported(folder, "run", path, "the sky", "--max-tokens", "1")


@pytest.mark.usefixtures("once")
def test_running_a_text_model_imports_nothing_heavy(model: Path, tmp_path: Path) -> None:
    for path in (model, "tiny"):
        words = ["run", path, "the sky", "--max-tokens", "2", "--temperature", "0"]
        assert imported(tmp_path, *words) == set()


@pytest.mark.usefixtures("once")
def test_transcribing_imports_what_reads_audio_and_nothing_for_images(tmp_path: Path) -> None:
    recording = resources.speech_samples() / "10.flac"
    found = imported(tmp_path, "transcribe", "tiny-whisper", recording)
    assert "soundfile" in found
    # rich writes the line about the time that it took.
    assert found <= {"numpy", "rich", "soundfile", "soxr"}


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["--version"], ["profiles", "list", "--json"]]
)
def test_asking_what_there_is_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    assert imported(tmp_path, *words) == set()
