"""A runtime with the engine for compiled models alone: it answers, and refuses other models."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
import wave
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from sphere_edge import packaging
from sphere_edge.errors import Status
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.toolchain import archives, cache, compilers, early, native, targets
from tests import made_bundles, random_gguf, random_whisper

pytestmark = pytest.mark.group("archives")


@pytest.fixture(scope="module")
def runner() -> Path:
    return native.build(targets.host(), engines=("tvm",)).runner


def refusal(runner: Path, *words: str | Path) -> dict[str, Any]:
    with pytest.raises(ProgramFailedError) as failed:
        run([runner, *words, "--json"], timeout_s=60)
    error: dict[str, Any] = json.loads(failed.value.completed.stdout)["error"]
    return error


def test_a_compiled_model_answers(runner: Path) -> None:
    bundle = made_bundles.made(packaging.TINY).folder
    words = ("generate", bundle, "The sky is", "--max-tokens", "4", "--json")
    assert json.loads(run([runner, *words], timeout_s=60).stdout)["completion_tokens"] > 0


def test_it_chats_and_says_that_it_has_no_tools(runner: Path, tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "light", "parameters": {"type": "object"}}}
    (tmp_path / "tools.json").write_text(json.dumps([tool]))
    chat = [runner, "chat", made_bundles.made(packaging.TINY).folder, "What is 2 + 2?"]
    chat += ["--temperature", "0", "--max-tokens", "20"]
    assert run(chat, timeout_s=120).stdout.strip()
    refused = run([*chat, "--tools", tmp_path / "tools.json"], timeout_s=120, check=False)
    assert refused.exit_code == Status.UNSUPPORTED
    assert "built without tools" in refused.stderr


def test_other_models_are_refused_with_what_to_build(runner: Path, tmp_path: Path) -> None:
    text = random_gguf.write(tmp_path / "text.gguf")
    refused = refusal(runner, "generate", text, "x", "--max-tokens", "1")
    assert refused["code"] == Status.UNSUPPORTED
    assert "runtime build" in refused["hint"]
    speech = random_whisper.write(tmp_path / "speech.bin")
    with wave.open(str(tmp_path / "silence.wav"), "wb") as silence:
        silence.setparams((1, 2, 16000, 0, "NONE", ""))
        silence.writeframes(bytes(3200))
    refused = refusal(runner, "transcribe", speech, tmp_path / "silence.wav")
    assert refused["code"] == Status.UNSUPPORTED
    assert "audio" in refused["hint"]


def test_archives_are_made_while_commands_run_whose_failure_counts() -> None:
    words = [sys.executable, "-m", early.__name__, "echo tools", "echo the rest; exit 7"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("tools\nthe rest\n", 7)
    for part in native.parts(targets.host(), native.STARTER):
        assert list(archives.folder(part, targets.host()).glob("*.a"))


def test_without_compilers_nothing_else_is_installed() -> None:
    words = [sys.executable, "-m", early.__name__, "echo tools; exit 3", "echo the rest"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("tools\n", 3)


def test_the_first_library_answers_without_a_runner(tmp_path: Path) -> None:
    """In a cache of its own, as on the first day, and with the archives that are there."""
    first = tmp_path / "cache"
    first.mkdir()
    for part in ("batches", "engines", "sources", "zig"):
        (first / part).symlink_to(cache.folder() / part)
    bundle = made_bundles.made(packaging.TINY).folder
    script = (
        "from sphere_edge.runtime.text import TextManager\n"
        f"with TextManager.open({str(bundle)!r}) as text:\n"
        "    print(''.join(text.generate('The sky is', max_tokens=4)))"
    )
    environment = {cache.FOLDER_VARIABLE: str(first)}
    assert run([sys.executable, "-c", script], timeout_s=1800, env=environment).stdout.strip()
    assert not list((first / "native").glob("*/bin"))


def commands(engines: Collection[str], work: Path) -> dict[str, str]:
    """How each file of the library is compiled in a build with these engines."""
    host = targets.host()
    native.prepare(host, engines=engines)
    project = native.core_project(host, engines)
    work.mkdir()
    words = [compilers.cmake(), "-S", project.folder, "-B", work, "-DCMAKE_BUILD_TYPE=Release"]
    words += compilers.cmake_arguments(host, work)
    settings = {**project.definitions, **project.folders, "CMAKE_EXPORT_COMPILE_COMMANDS": "ON"}
    words += [f"-D{name}={value}" for name, value in settings.items()]
    run(words, timeout_s=600, env=compilers.environment())
    listed = json.loads((work / "compile_commands.json").read_text())
    ours = (one for one in listed if "sphere_edge.dir" in one["output"])
    return {one["file"]: one["command"] for one in ours}


@pytest.mark.parametrize("engines", [("tvm",), native.DEFAULT_ENGINES], ids=["tvm", "more"])
def test_what_the_first_answer_needed_is_not_compiled_again(
    engines: tuple[str, ...], tmp_path: Path
) -> None:
    """zig finds what it has compiled only under the same words, at the same place."""
    first = commands(native.STARTER, work := tmp_path / "work")
    shutil.rmtree(work)
    more = commands(engines, work)
    assert len(first.keys() & more.keys()) > 6
    assert {file: more[file] for file in first.keys() & more.keys()} == {
        file: first[file] for file in first.keys() & more.keys()
    }


@pytest.mark.parametrize(
    "static",
    [
        pytest.param(False, id="shared"),
        pytest.param(True, id="static", marks=pytest.mark.group("musl")),
    ],
)
def test_our_archive_of_the_c_plus_plus_library_does_what_zigs_does(
    static: bool, tmp_path: Path
) -> None:
    target = targets.NAMED["musl-x86-64"] if static else targets.host()
    if static and platform.machine() != "x86_64":
        pytest.skip("a program for x86-64")
    archives.build(("libcxx",), target)
    library = archives.folder("libcxx", target) / "libse_libcxx.a"
    aim = ["-target", str(target.triple), "-static"] if static else []
    zig = [compilers.zig(), "c++", *aim, "-O1", "-g0"]
    source, program = Path(__file__).with_name("cxx_library_main.cpp"), tmp_path / "program"
    for words in (
        ["-std=c++20", "-c", source, "-o", tmp_path / "main.o"],
        ["-nostdlib++", tmp_path / "main.o", library, "-lunwind", "-o", program],
    ):
        run([*zig, *words], timeout_s=600, env=compilers.environment())
    assert run([program, tmp_path / "files"], timeout_s=60).stdout.splitlines() == [
        *("0.667", "1", "1970-01-01 1250", "a#b#", "base", "vector"),
        *("missing", "from a thread 7", "8", "3499211612"),
    ]


# What engines print on stdout, but not here: on errors of quantization that we do not use, and with
# `print_realtime` of whisper.cpp and `g_jinja_debug` of llama.cpp, which are off. libcxx has it.
UNREACHED = {
    ("vocab", "ggml-quants"),
    ("vocab", "ggml"),
    ("vocab", "batch"),
    ("llama", "llama-quant"),
    ("whisper", "whisper_state"),
    ("libcxx", "batch"),
}
STDOUT = re.compile(r"\b(printf|puts|putchar|vprintf|stdout|_ZNSt3__14coutE)$")


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed (apt install binutils)")
def test_stdout_is_left_to_the_program_that_uses_the_engines() -> None:
    host = targets.host()
    parts = [part for part in archives.PARTS if part != "metal"]
    archives.build(parts, host)
    found = set()
    for part in parts:
        for archive in archives.folder(part, host).rglob("*.a"):
            listed = run(["nm", "-A", "--undefined-only", archive], timeout_s=300).stdout
            for line in filter(STDOUT.search, listed.splitlines()):
                member = line.split(":")[-2].partition(".")[0]
                found.add((part, "batch" if len(member) == 64 else member))
    # Something is found at all.
    assert found
    assert found <= UNREACHED
