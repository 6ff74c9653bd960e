"""`sphere-edge` from a model to an answer on the built-in model, mostly as processes of its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sphere_edge import resources
from sphere_edge.bundle.manifest import bundle_id, render
from sphere_edge.errors import Status
from tests import trained_tokenizers
from tests.cli_process import COMMAND, in_process, refused, sphere_edge

# Loading the compiler alone takes seconds, many more where the cores are busy.
TIMEOUT_S = 600
FRANCE = "What is the capital of France?"


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The built-in model for this machine: what `package --json` reports."""
    folder = tmp_path_factory.mktemp("packaged")
    run = sphere_edge("package", "tiny", "--json", cwd=folder, timeout_s=TIMEOUT_S)
    assert run.returncode == 0, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    return {**report, "path": folder / report["path"]}


@pytest.fixture
def bundle(packaged: dict[str, Any], tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(packaged["path"], tmp_path / "tiny.host")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the built-in model that a test may damage."""
    return shutil.copytree(resources.tiny_model(), tmp_path / "model")


def rewrite(bundle: Path, part: str, **changes: object) -> None:
    """Changes the manifest's `part` and gives it the id that goes with it."""
    document = json.loads((bundle / "bundle.json").read_text())
    document[part] = {**document[part], **changes}
    document["id"] = bundle_id(document)
    (bundle / "bundle.json").write_bytes(render(document))


def test_a_packaged_model_is_sound_says_its_sizes_and_has_run_here(
    packaged: dict[str, Any],
) -> None:
    assert packaged["path"].name == "tiny.host"
    assert packaged["tried_here"] is True
    assert packaged["memory"]["weights_bytes"] > 0
    assert in_process("verify", packaged["path"]).stdout == packaged["id"] + "\n"
    assert [path.name for path in packaged["path"].parent.iterdir()] == ["tiny.host"]


def test_the_same_model_gives_the_same_bundle_wherever_it_lies(
    packaged: dict[str, Any], tmp_path: Path
) -> None:
    copy = shutil.copytree(resources.tiny_model(), tmp_path / "elsewhere" / "tiny")
    words = ["package", copy, "-o", "again", "--json"]
    run = sphere_edge(*words, cwd=tmp_path, timeout_s=TIMEOUT_S)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["id"] == packaged["id"]


def test_it_answers_from_its_bundle(packaged: dict[str, Any]) -> None:
    run = sphere_edge("run", packaged["path"], FRANCE, "--temperature", "0")
    assert run.returncode == 0, run.stderr
    assert "Paris" in run.stdout
    as_json = in_process("run", packaged["path"], "-", "--json", "--seed", "7", stdin=FRANCE)
    report = json.loads(as_json.stdout)
    assert report["seed"] == 7
    assert report["prompt_tokens"] > 0
    assert report["completion_tokens"] > 0


def test_a_text_is_continued_without_the_template(packaged: dict[str, Any]) -> None:
    words = ["run", packaged["path"], "The capital of France is", "--raw", "--max-tokens", "3"]
    run = in_process(*words, "--json")
    assert json.loads(run.stdout)["completion_tokens"] <= 3


def test_a_conversation_goes_on_until_exit(packaged: dict[str, Any]) -> None:
    lines = f"{FRANCE}\n/what\n/reset\n{FRANCE}\n/exit\nnever read\n"
    run = sphere_edge("chat", packaged["path"], "--temperature", "0", stdin=lines)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("Paris") == 2
    assert "/reset" in run.stderr


def test_a_full_context_is_explained_and_the_conversation_goes_on(packaged: dict[str, Any]) -> None:
    lines = f"{'word ' * 300}\n{FRANCE}\n"
    words = ["chat", packaged["path"], "--temperature", "0", "--context", "64"]
    run = in_process(*words, stdin=lines)
    assert run.returncode == 0, run.stderr
    assert "error: " in run.stderr
    assert "Paris" in run.stdout


def test_ctrl_c_stops_an_answer_and_not_the_conversation(packaged: dict[str, Any]) -> None:
    # A hot model babbles on: without Ctrl-C each answer would fill the whole context.
    words = ["chat", str(packaged["path"]), "--temperature", "100"]
    process = subprocess.Popen(
        [*COMMAND, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("Tell me a story\n")
    process.stdin.flush()
    assert process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    process.stdin.write("/what\n/exit\n")
    process.stdin.flush()
    _, stderr = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, stderr
    assert "/reset" in stderr
    assert "Traceback" not in stderr


def test_quickstart_shows_everything_and_is_quick_the_second_time(tmp_path: Path) -> None:
    first = sphere_edge("quickstart", cwd=tmp_path, timeout_s=TIMEOUT_S)
    assert first.returncode == 0, first.stderr
    for answer in ("Paris", "blue", "7"):
        assert answer in first.stdout
    assert "decode" in first.stdout
    assert "close the door" in first.stdout
    with Image.open(tmp_path / "dist" / "a-red-circle.png") as picture:
        red, green, blue = np.asarray(picture.convert("RGB"))[28:36, 28:36].mean(axis=(0, 1))
        assert red > 2 * max(green, blue)
    assert "sphere-edge chat dist/tiny.host" in first.stderr
    made = json.loads((tmp_path / "dist" / "tiny.host" / "bundle.json").read_text())
    second = sphere_edge("quickstart", cwd=tmp_path, timeout_s=TIMEOUT_S)
    assert second.returncode == 0, second.stderr
    assert "already there" in second.stderr
    assert json.loads((tmp_path / "dist" / "tiny.host" / "bundle.json").read_text()) == made


def test_quickstart_makes_a_damaged_bundle_again(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "dist").mkdir()
    (bundle / "lib" / "model.so").unlink()
    bundle.rename(tmp_path / "dist" / "tiny.host")
    run = sphere_edge("quickstart", "--no-images", cwd=tmp_path, timeout_s=TIMEOUT_S)
    assert run.returncode == 0, run.stderr
    assert "Paris" in run.stdout
    assert not list((tmp_path / "dist").glob("*.png"))


def test_one_file_runs_like_the_folder(packaged: dict[str, Any], tmp_path: Path) -> None:
    run = in_process("package", "tiny", "--zip", "-o", "tiny", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    path = tmp_path / run.stdout.strip()
    assert path.name == "tiny.sphere"
    assert in_process("verify", path).stdout == packaged["id"] + "\n"
    assert "Paris" in in_process("run", path, FRANCE, "--temperature", "0").stdout


def test_a_benchmark_puts_predicted_beside_measured(
    packaged: dict[str, Any], tmp_path: Path
) -> None:
    report = tmp_path / "bench.html"
    words = ["bench", packaged["path"], "--prompt-tokens", "16,32", "--new-tokens", "8"]
    run = sphere_edge(*words, "--repeat", "2", "--report", report, "--json")
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    titles = {(one["name"], one["tokens"]): len(one["samples"]) for one in document["series"]}
    assert titles[("prefill", 16)] == titles[("prefill", 32)] == titles[("decode", 8)] == 2
    assert document["memory"]["predicted"]["peak_bytes"] == packaged["memory"]["peak_bytes"]
    assert document["memory"]["peak_rss_bytes"] > packaged["memory"]["weights_bytes"]
    assert "<svg" in report.read_text()


def test_an_existing_output_stays(packaged: dict[str, Any]) -> None:
    run = in_process("package", "tiny", "-o", packaged["path"])
    refused(run, Status.STORAGE, "exists", "--force")


@pytest.mark.parametrize("moment", ["", "lib/model.so", "weights"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, moment: str) -> None:
    words = ["package", "tiny", "-p", "generic-x86-64-v3", "-o", str(tmp_path / "deep" / "a")]
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watched = tmp_path / "deep" / ".a.partial" / moment
    while not watched.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == Status.CANCELLED, stderr
    assert stderr.splitlines()[-1] == "error: cancelled"
    assert stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_killed_packaging_is_tidied_up_by_the_next(tmp_path: Path) -> None:
    words = [*COMMAND, "package", "tiny", "-o", "a"]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (tmp_path / ".a.partial").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait(timeout=TIMEOUT_S)
    assert not (tmp_path / "a").exists()
    run = sphere_edge("package", "tiny", "-o", "a", cwd=tmp_path, timeout_s=TIMEOUT_S)
    assert run.returncode == 0, run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    mounting = ["unshare", "--map-root-user", "--mount", "bash", "-ec"]
    mount = f"mount -t tmpfs -o size=200k tmpfs {shlex.quote(str(tmp_path))}"
    try:
        subprocess.run([*mounting, mount], capture_output=True, timeout=300, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody mount a small disk")
    words = shlex.join([*COMMAND, "package", "tiny", "-o", str(tmp_path / "deep" / "a")])
    run = subprocess.run(
        [*mounting, f"{mount}; {words}; code=$?; ls -A {shlex.quote(str(tmp_path))}; exit $code"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    refused(run, Status.STORAGE)


def test_an_output_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = in_process("package", "tiny", "-o", tmp_path / "file" / "a")
    refused(run, Status.STORAGE, "cannot write")


def test_a_prompt_longer_than_the_context_is_refused(packaged: dict[str, Any]) -> None:
    run = in_process("run", packaged["path"], "word " * 300, "--context", "64")
    refused(run, Status.INVALID_ARGUMENT, "64")


def flips(bundle: Path) -> Iterator[Path]:
    yield from (path for path in sorted(bundle.rglob("*")) if path.is_file())


def test_a_flipped_byte_in_any_file_is_found(bundle: Path) -> None:
    for path in flips(bundle):
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
        refused(in_process("verify", bundle), Status.MODEL_CORRUPT, path.name)
        path.write_bytes(content)
    assert in_process("verify", bundle).returncode == 0


@pytest.mark.parametrize("command", [["run", "hello"], ["chat"], ["bench"]])
def test_a_bundle_for_another_machine_is_refused_before_it_runs(
    bundle: Path, command: list[str]
) -> None:
    rewrite(bundle, "target", cpu_features=["i8mm", "neon"])
    verb, *rest = command
    refused(in_process(verb, bundle, *rest), Status.FORMAT_MISMATCH, "i8mm", "--profile host")
    rewrite(bundle, "target", triple="riscv64-unknown-linux-gnu", cpu_features=[])
    refused(in_process(verb, bundle, *rest), Status.FORMAT_MISMATCH, "riscv64 linux")


def test_a_model_that_cannot_fit_is_refused_with_changes(tmp_path: Path, model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config["max_position_embeddings"] = 10_000_000
    (model / "config.json").write_text(json.dumps(config))
    words = ["package", model, "-p", "pixel8", "--context", "10000000", "-o", tmp_path / "a"]
    run = in_process(*words)
    refused(run, Status.OOM_RAM, "may use 4.00 GiB", "--context")
    assert not (tmp_path / "a").exists()


def test_weights_and_config_of_different_models_are_refused(tmp_path: Path, model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config["intermediate_size"] += 32
    (model / "config.json").write_text(json.dumps(config))
    run = in_process("package", model, "-o", tmp_path / "a")
    refused(run, Status.MODEL_CORRUPT, "gate_proj")


def test_an_unknown_model_type_is_answered_with_the_known_ones(tmp_path: Path, model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config["model_type"] = "mamba"
    (model / "config.json").write_text(json.dumps(config))
    run = in_process("package", model, "-o", tmp_path / "a")
    refused(run, Status.UNSUPPORTED, "`mamba`", "qwen3")


def test_a_model_without_tokenizer_is_refused(tmp_path: Path, model: Path) -> None:
    (model / "tokenizer.json").unlink()
    run = in_process("package", model, "-o", tmp_path / "a")
    refused(run, Status.NOT_FOUND, "no tokenizer")


def test_a_tokenizer_with_an_expression_that_is_not_known_is_refused(
    tmp_path: Path, model: Path
) -> None:
    trained_tokenizers.write_byte_level(model, "tekken")
    text = (model / "tokenizer.json").read_text()
    (model / "tokenizer.json").write_text(text.replace(r"\\p{Lu}", r"\\p{Latin}"))
    run = in_process("package", model, "-o", tmp_path / "a")
    refused(run, Status.UNSUPPORTED, "the property Latin", "its own tokenizer")


def test_pickles_are_refused(tmp_path: Path, model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    run = in_process("package", model, "-o", tmp_path / "a")
    refused(run, Status.UNSUPPORTED, "pickle")


def test_a_truncated_model_is_refused(tmp_path: Path, model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    run = in_process("package", model, "-o", tmp_path / "a")
    refused(run, Status.MODEL_CORRUPT, "model.safetensors")


def test_a_context_beyond_the_bundles_is_refused_at_opening(packaged: dict[str, Any]) -> None:
    most = json.loads((packaged["path"] / "bundle.json").read_text())["text"]["context_tokens"]
    words = ("run", packaged["path"], "Hello", "--context")
    refused(
        in_process(*words, str(most + 1)),
        Status.INVALID_ARGUMENT,
        f"more than the `{most}` of the bundle",
    )
    assert in_process(*words, str(most), "--max-tokens", "1").returncode == 0


def test_options_for_a_template_are_refused_where_the_model_has_none(
    model: Path, tmp_path: Path
) -> None:
    config = json.loads((model / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    assert in_process("package", model, "-o", tmp_path / "plain").returncode == 0
    for option, value in (
        ("--system", "Answer in French"),
        ("--chat-template-kwargs", '{"enable_thinking": false}'),
    ):
        run = in_process("run", tmp_path / "plain", "Hello", option, value)
        refused(run, Status.INVALID_ARGUMENT, option, "the model has none")
    assert in_process("run", tmp_path / "plain", "Hello", "--max-tokens", "1").returncode == 0


def test_a_prompt_that_is_not_text_is_told_so(packaged: dict[str, Any]) -> None:
    for locale in ("C.UTF-8", "en_US.UTF-8", "C"):
        run = subprocess.run(
            [*COMMAND, "run", str(packaged["path"]), "-"],
            input=b"caf\xe9 au lait",
            capture_output=True,
            timeout=TIMEOUT_S,
            env={**os.environ, "LC_ALL": locale},
            check=False,
        )
        said = run.stderr.decode()
        assert run.returncode == Status.INVALID_ARGUMENT, said
        assert "error: the prompt" in said
        assert "UTF-8" in said
        assert "Traceback" not in said
    run = in_process("run", packaged["path"], "Hello", "--system", "caf\udce9")
    refused(run, Status.INVALID_ARGUMENT, "invalid character")


@pytest.mark.parametrize("output", ["/", ".", ".."])
def test_an_output_without_a_name_is_refused(tmp_path: Path, output: str) -> None:
    for words in ([], ["--zip"]):
        run = in_process("package", "tiny", "-o", output, *words, cwd=tmp_path)
        assert run.returncode in (Status.STORAGE, Status.INVALID_ARGUMENT)
        refused(run, run.returncode, f"`{output}`")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extra", [[], ["--format", "gguf"]])
def test_special_tokens_that_cannot_be_put_before_a_text_are_told(
    tmp_path: Path, model: Path, extra: list[str]
) -> None:
    values = json.loads((model / "tokenizer.json").read_text())
    two = ["<|endoftext|>", "<|im_start|>"]
    ids = {item["content"]: item["id"] for item in values["added_tokens"]}
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    values["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [*({"SpecialToken": {"id": one, "type_id": 0}} for one in two), sequence],
        "pair": [sequence, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {one: {"id": one, "ids": [ids[one]], "tokens": [one]} for one in two},
    }
    (model / "tokenizer.json").write_text(json.dumps(values))
    words = ("package", model, "-o", tmp_path / "made", *extra)
    refused(in_process(*words), Status.MODEL_CORRUPT, "other special tokens around a text")
    assert in_process(*words, "--allow-tokenizer-mismatch").returncode == 0


def test_an_end_token_left_over_from_training_changes_no_answer(
    packaged: dict[str, Any], model: Path, tmp_path: Path
) -> None:
    config = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**config, "add_eos_token": True}))
    assert in_process("package", model, "-o", tmp_path / "made").returncode == 0
    reports = [
        json.loads(in_process("run", one, FRANCE, "--temperature", "0", "--json").stdout)
        for one in (packaged["path"], tmp_path / "made")
    ]
    for key in ("text", "prompt_tokens"):
        assert reports[0][key] == reports[1][key]
