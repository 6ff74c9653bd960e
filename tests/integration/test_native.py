"""The native core under sanitizers: its C test program on both engines, and files that lie."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sanitized import program

from sphere_edge import errors, packaging
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import Status
from sphere_edge.run import ProgramFailedError, run
from tests import (
    c_interface,
    ed25519_lines,
    made_bundles,
    manifest_corpus,
    random_gguf,
    random_mmproj,
    trust_cases,
)

pytestmark = pytest.mark.group("sanitizers")

MUTATIONS = 150


@pytest.fixture(scope="session")
def gguf_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_gguf.write(tmp_path_factory.mktemp("gguf") / "random.gguf")


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The built-in model compiled for this machine."""
    return made_bundles.made(packaging.TINY, options=PackageOptions(quantization="q4")).folder


def test_the_thread_pool_runs_every_piece_once(programs: Path) -> None:
    assert "passed" in program(programs, "thread-pool-test").stdout


def test_characters_stay_whole_and_stop_strings_stop(programs: Path) -> None:
    assert "passed" in program(programs, "output-stream-test").stdout


def test_prompt_lookup_drafts_what_came_before(programs: Path) -> None:
    assert "passed" in program(programs, "prompt-lookup-test").stdout


def test_the_number_of_threads_follows_the_load(programs: Path) -> None:
    program(programs, "thread-count-test")


def test_a_failure_is_told_where_no_memory_is_left(programs: Path) -> None:
    assert "passed" in program(programs, "no-memory-test").stdout


def test_hostile_grammars_are_refused_or_interrupted(programs: Path) -> None:
    assert "passed" in program(programs, "grammars-test").stdout


def test_hashes_are_those_of_python(programs: Path) -> None:
    texts = [bytes((i * 37 + n) % 256 for i in range(n)) for n in range(300)]
    hashes = program(programs, "sha256-test").stdout.split()
    assert hashes == [hashlib.sha256(text).hexdigest() for text in texts]


def test_signatures_are_checked_as_python_checks_them(programs: Path) -> None:
    asked = ed25519_lines.lines()
    text = "".join(f"{line}\n" for line, _ in asked).encode()
    answers = program(programs, "ed25519-test", stdin=text).stdout.splitlines()
    assert answers == [answer for _, answer in asked]


def test_bundles_are_trusted_as_python_trusts_them(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "revoked").mkdir()
    bundles = {"revoked": trust_cases.revoked(tmp_path / "revoked")}
    for index, (name, case) in enumerate(trust_cases.CASES.items()):
        (tmp_path / str(index)).mkdir()
        bundles[name] = trust_cases.place(case, tmp_path / str(index))
    text = "".join(f"{bundle} {keys}\n" for bundle, keys in bundles.values()).encode()
    lines = program(programs, "trusted-keys-test", stdin=text).stdout.splitlines()
    for name, line in zip(bundles, lines, strict=True):
        status, message = trust_cases.judged(*bundles[name])
        code, _, text_here = line.partition(" ")
        assert (name, code) == (name, status.name)
        if status is Status.UNTRUSTED:
            # Python says also what is wrong with a statement.
            assert text_here == re.sub("(something else): [^;]*;", r"\1;", message)


def test_every_case_passes_on_a_gguf(programs: Path, gguf_model: Path) -> None:
    assert "cases passed" in program(programs, "sphere-edge-test", "cases", gguf_model).stdout


def test_every_case_passes_on_a_compiled_bundle(programs: Path, bundle: Path) -> None:
    assert "cases passed" in program(programs, "sphere-edge-test", "cases", bundle).stdout


def test_a_program_of_the_first_release_runs(
    programs: Path, gguf_model: Path, bundle: Path
) -> None:
    for model in (gguf_model, bundle):
        assert "passed" in program(programs, "old-caller-test", model).stdout


def test_the_library_exports_what_the_header_declares_and_nothing_else(programs: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("there is no nm")
    library = programs.parent / "lib" / "libsphere_edge.so"
    lines = run(["nm", "-D", "--defined-only", library], timeout_s=300).stdout.splitlines()
    exported = {line.split()[-1] for line in lines}
    assert exported == set(c_interface.read(c_interface.HEADER).functions)


def test_the_core_judges_manifests_as_python_does(programs: Path, tmp_path: Path) -> None:
    corpus = [*manifest_corpus.GOOD, *manifest_corpus.BAD]
    folders = [manifest_corpus.bundle(path, tmp_path) for path in corpus]
    said = program(programs, "sphere-edge-test", "describe", *folders).stdout.split("\n")[:-1]
    judged = dict(zip(corpus, said, strict=True))
    assert [
        judged[path] for path in manifest_corpus.GOOD if not judged[path].startswith("OK ")
    ] == []
    refusals = ("MODEL_CORRUPT ", "FORMAT_MISMATCH ")
    wrong = {
        path.stem: judged[path]
        for path in manifest_corpus.BAD
        if not judged[path].startswith(refusals)
    }
    assert wrong == {}


def test_many_calls_at_once_answer_as_they_do_alone(
    programs: Path, gguf_model: Path, bundle: Path
) -> None:
    for model in (gguf_model, bundle):
        assert "as they do alone" in program(programs, "sequences-test", model).stdout


def mutated(content: bytes, seed: int) -> bytes:
    """A GGUF cut off, with flipped bytes in its header, or with a number that cannot be."""
    chance = random.Random(seed)
    # Behind the name of one of the last tensors of a model, or of an image encoder.
    header_bytes = max(content.find(name) for name in (b"output_norm.weight", b"mm.2.")) + 400
    damaged = bytearray(content)
    kind = seed % 3
    if kind == 0:
        return content[: chance.randrange(len(content))]
    if kind == 1:
        for _ in range(chance.choice([1, 1, 2, 4])):
            damaged[chance.randrange(8, header_bytes)] = chance.randrange(256)
        return bytes(damaged)
    kinds = (b"llama.", b"tokenizer.", b"clip.")
    keys = [at for at in range(header_bytes) if content.startswith(kinds, at)]
    place = chance.choice(keys) + chance.randrange(8, 60)
    wrong = chance.choice([0, 1, 3, 7, 255, 65535, 2**20, 2**31 - 1, 2**32 - 1])
    damaged[place : place + 4] = struct.pack("<I", wrong)
    return bytes(damaged)


def test_no_damaged_gguf_brings_the_process_down(
    programs: Path, gguf_model: Path, tmp_path: Path
) -> None:
    content = gguf_model.read_bytes()
    for seed in range(MUTATIONS):
        (tmp_path / f"{seed}.gguf").write_bytes(mutated(content, seed))
    said = program(programs, "sphere-edge-test", "survive", *sorted(tmp_path.glob("*.gguf"))).stdout
    assert len(said.splitlines()) >= MUTATIONS
    assert "INTERNAL" not in said
    assert "MODEL_CORRUPT" in said


@pytest.mark.parametrize("projector", ["mlp", "qwen2vl_merger"])
def test_chats_with_images_are_answered_refused_and_stopped(
    programs: Path, tmp_path: Path, projector: str
) -> None:
    """Our own code is instrumented; llama.cpp's image encoders are linked as they are."""
    architecture = "llama" if projector == "mlp" else "qwen2vl"
    model = random_gguf.write(tmp_path / "model.gguf", architecture=architecture)
    encoder = random_mmproj.write(tmp_path / "eye.gguf", projector=projector)
    said = program(programs, "sphere-edge-test", "images", model, encoder).stdout
    assert "image cases passed" in said


def test_damaged_image_encoders_end_with_our_own_errors(
    programs: Path, gguf_model: Path, tmp_path: Path
) -> None:
    content = random_mmproj.write(tmp_path / "whole").read_bytes()
    for seed in range(MUTATIONS):
        (tmp_path / f"{seed}.gguf").write_bytes(mutated(content, seed))
    paths = sorted(tmp_path.glob("*.gguf"))
    said = program(programs, "sphere-edge-test", "encoders", gguf_model, *paths).stdout
    assert len(said.splitlines()) >= MUTATIONS
    # Damaged numbers make others that are none.
    failed = [line for line in said.splitlines() if "INTERNAL" in line]
    assert all("are not finite" in line for line in failed), failed
    assert "MODEL_CORRUPT" in said


def test_wrong_magic_is_corrupt_and_an_unknown_architecture_is_named(
    programs: Path, gguf_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "magic.gguf").write_bytes(b"GGML" + gguf_model.read_bytes()[4:])
    assert refusal(programs, tmp_path / "magic.gguf")["code"] == Status.MODEL_CORRUPT
    future = gguf_model.read_bytes().replace(b"llama", b"lamma")
    (tmp_path / "future.gguf").write_bytes(future)
    refused = refusal(programs, tmp_path / "future.gguf")
    assert refused["code"] == Status.UNSUPPORTED
    assert "`lamma`" in refused["message"]


def refusal(programs: Path, model: Path) -> dict[str, Any]:
    """What the runner says of a model that it must not open; the exit code is the same number."""
    with pytest.raises(ProgramFailedError) as failed:
        program(programs, "sphere-edge-run", "generate", model, "x", "--max-tokens", "1", "--json")
    error: dict[str, Any] = json.loads(failed.value.completed.stdout)["error"]
    assert failed.value.completed.exit_code == error["code"]
    assert errors.from_status(error["code"], error["message"]).message
    return error


Change = Callable[[dict[str, Any]], object]
CHANGES: list[tuple[str, Change, Status, str]] = [
    ("another schema", lambda m: m.update(schema_version=2), Status.FORMAT_MISMATCH, "`2`"),
    ("another runtime", lambda m: m.update(runtime_abi=99), Status.FORMAT_MISMATCH, "`99`"),
    ("an unknown key", lambda m: m.update(magic=1), Status.MODEL_CORRUPT, "`magic`"),
    ("a missing key", lambda m: m.pop("files"), Status.MODEL_CORRUPT, "`files`"),
    ("another task", lambda m: m.update(task="audio"), Status.FORMAT_MISMATCH, "`audio`"),
    (
        "a CPU feature nobody has",
        lambda m: m["target"].update(cpu_features=["avx2", "warp9"]),
        Status.FORMAT_MISMATCH,
        "`warp9`",
    ),
    (
        "another architecture",
        lambda m: m["target"].update(triple="riscv64-linux-gnu"),
        Status.FORMAT_MISMATCH,
        "`riscv64`",
    ),
    (
        "a path that leaves the bundle",
        lambda m: m["files"][0].update(path="../secret"),
        Status.MODEL_CORRUPT,
        "`../secret`",
    ),
    (
        "another size",
        lambda m: m["files"][0].update(bytes=m["files"][0]["bytes"] + 1),
        Status.MODEL_CORRUPT,
        "instead of",
    ),
    (
        "a KV cache of 2^64 bytes",
        lambda m: (
            m["text"].update(context_tokens=2**22),
            m["tvm"].update(
                cache=[{"kv_heads": 2**20, "key_dim": 2**20, "value_dim": 2**20}]
                * len(m["tvm"]["cache"])
            ),
        ),
        Status.MODEL_CORRUPT,
        "no memory holds",
    ),
    (
        "a parameter nobody stored",
        lambda m: m["tvm"].update(parameters=["nothing"]),
        Status.MODEL_CORRUPT,
        "`nothing`",
    ),
]


@pytest.mark.parametrize(
    ("change", "status", "named"), [one[1:] for one in CHANGES], ids=[one[0] for one in CHANGES]
)
def test_a_bundle_with_a_changed_manifest_is_refused(
    change: Change, status: Status, named: str, programs: Path, bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    manifest = json.loads((copy / "bundle.json").read_text())
    change(manifest)
    manifest_corpus.write(copy, manifest)
    refused = refusal(programs, copy)
    assert refused["code"] == status
    assert named in refused["message"]


def test_a_bundle_without_one_of_its_files_is_refused(
    programs: Path, bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    (copy / "tokenizer.gguf").unlink()
    refused = refusal(programs, copy)
    assert refused["code"] == Status.MODEL_CORRUPT
    assert "`tokenizer.gguf`" in refused["message"]


def test_a_link_that_leaves_the_bundle_is_refused(
    programs: Path, bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    (copy / "tokenizer.gguf").rename(tmp_path / "elsewhere.gguf")
    (copy / "tokenizer.gguf").symlink_to(tmp_path / "elsewhere.gguf")
    assert refusal(programs, copy)["code"] == Status.MODEL_CORRUPT


def test_a_link_into_the_store_of_a_device_is_followed(
    programs: Path, bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "bundles" / "one"
    blobs = tmp_path / "blobs"
    shutil.copytree(bundle, copy)
    blobs.mkdir()
    for file in json.loads((copy / "bundle.json").read_text())["files"]:
        place = copy / file["path"]
        place.rename(blobs / file["sha256"])
        place.symlink_to(blobs / file["sha256"])
    program(programs, "sphere-edge-run", "generate", copy, "x", "--max-tokens", "1")


def test_compiled_code_may_lie_outside_the_bundle(
    programs: Path, bundle: Path, tmp_path: Path
) -> None:
    copy, code = tmp_path / "copy", tmp_path / "code"
    shutil.copytree(bundle, copy)
    code.mkdir()

    def opens(status: Status) -> str:
        return program(programs, "sphere-edge-test", "code", str(int(status)), copy, code).stdout

    assert "missing" in opens(Status.MODEL_CORRUPT)
    (copy / "lib" / "model.so").rename(code / "libmodel.so")
    opens(Status.OK)
    (code / "libmodel.so").rename(code / "model.so")
    opens(Status.OK)
    content = bytearray((code / "model.so").read_bytes())
    content[-1] ^= 1
    (code / "model.so").write_bytes(content)
    assert "another hash" in opens(Status.MODEL_CORRUPT)
    (code / "model.so").write_bytes(content[:-1])
    assert "instead of" in opens(Status.MODEL_CORRUPT)


def test_the_runner_tells_wrong_usage_from_failure(programs: Path) -> None:
    for words in (["sing"], ["generate"], ["bench", "x", "--repeat", "many"], ["info", "--loud"]):
        with pytest.raises(ProgramFailedError) as failed:
            program(programs, "sphere-edge-run", *words)
        assert failed.value.completed.exit_code == 64
    shown = program(programs, "sphere-edge-run", "--help").stdout
    assert all(verb in shown for verb in ("generate", "chat", "bench", "score", "info"))


def test_the_runner_measures_what_it_was_asked_to(programs: Path, gguf_model: Path) -> None:
    words = ["--prompt-tokens", "8,16", "--new-tokens", "4", "--repeat", "3", "--threads", "1"]
    words += ["--sustain", "1"]
    report = json.loads(program(programs, "sphere-edge-run", "bench", gguf_model, *words).stdout)
    series = [(one["name"], one["tokens"], len(one["samples"])) for one in report["series"]]
    assert series == [
        ("load", None, 1),
        ("prefill", 8, 3),
        ("first_token", 8, 3),
        ("prefill", 16, 3),
        ("first_token", 16, 3),
        ("decode", 4, 3),
    ]
    assert all(sample > 0 for one in report["series"] for sample in one["samples"])
    for one in report["series"]:
        times = [*zip(one["started_s"], one["ended_s"], strict=True)]
        assert len(times) == len(one["samples"])
        assert times == sorted(times)
    (sustained,) = report["sustain"]
    # Whole answers, and at least a second of them.
    assert sustained["answers"] >= 1
    assert sustained["ended_s"] - sustained["started_s"] >= 1
    assert sustained["prefill"] > 0
    assert sustained["decode"] > 0
    assert report["peak_rss_bytes"] > 0
