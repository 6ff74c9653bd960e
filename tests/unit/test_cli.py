"""The command line: help with examples, one way to fail, data and talk kept apart."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from sphere_edge import __main__, __version__, cli
from sphere_edge.errors import Status
from tests.cli_process import in_process, refused, sphere_edge

GOLDEN = Path(__file__).parent.parent / "data" / "golden.bundle"
USAGE = 64


def commands(app: typer.Typer) -> Iterator[tuple[str, Any]]:
    """Every command's words and the command itself, without former names."""

    def below(words: tuple[str, ...], command: Any) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", None)
        if children is None:
            yield " ".join(words), command
            return
        for name, child in children.items():
            if not child.hidden:
                yield from below((*words, name), child)

    return below((), typer.main.get_command(app))


COMMANDS = dict(commands(cli.app()))


@pytest.mark.parametrize("words", COMMANDS)
def test_the_help_of_every_command_shows_an_example(words: str) -> None:
    command = COMMANDS[words]
    with command.make_context("sphere-edge", [], resilient_parsing=True) as context:
        text = command.get_help(context)
    assert f"$ sphere-edge {words}" in text


@pytest.mark.parametrize("words", COMMANDS)
def test_every_example_is_a_command_line_that_parses(words: str) -> None:
    import shlex

    for line in (COMMANDS[words].epilog or "").splitlines():
        if line.strip().startswith("$ "):
            example = line.strip().removeprefix("$ sphere-edge ").partition(" < ")[0]
            assert callable(cli.parse(shlex.split(example)))


def test_a_command_is_found_without_the_other_groups() -> None:
    whole = typer.main.get_command(cli.app()).commands
    assert [name for names in cli.GROUPS.values() for name in names] == list(whole)
    for group, names in cli.GROUPS.items():
        for name in names:
            alone = typer.main.get_command(cli.app(["--version", name, "run"])).commands
            assert list(alone) == list(names), group


def test_the_command_line_loads_nothing_heavy() -> None:
    check = (
        "import sys; from sphere_edge import __main__\n"
        "heavy = {'tvm', 'numpy', 'pydantic_settings', 'transformers', 'torch', 'tokenizers',"
        " 'huggingface_hub', 'paramiko', 'sphere_edge.profiles'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_help_and_version_go_to_stdout() -> None:
    run = sphere_edge("--help")
    assert (run.returncode, run.stderr) == (0, "")
    assert "package" in run.stdout
    assert sphere_edge("--version").stdout == f"{__version__}\n"
    assert sphere_edge().stdout == run.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pack"], "no such command `pack`"),
        (["verify"], "missing argument"),
        (["verify", "x", "--colour"], "no such option"),
        (["bench", "x", "--repeat", "0"], "`--repeat`"),
        (["run", "x", "hello", "--threads", "many"], "`--threads`"),
        (["profiles", "paint"], "no such command `paint`"),
    ],
)
def test_a_wrong_command_line_is_explained_and_ends_with_64(
    words: list[str], sentence: str
) -> None:
    refused(in_process(*words), USAGE, sentence, "--help`")


@pytest.mark.parametrize(
    ("words", "code", "sentences"),
    [
        (
            ["package", "tiny", "-p", "pixel9000"],
            Status.NOT_FOUND,
            [
                "error: no device profile named `pixel9000`\n\n"
                "hint: choose one of: pixel9, pixel10, pixel8"
            ],
        ),
        (["package", "tiny", "--context", "0"], Status.INVALID_ARGUMENT, ["`0` for --context"]),
        (["package", "tiny", "--context", "-5"], Status.INVALID_ARGUMENT, ["`-5` for --context"]),
        (["package", "tiny", "--quant", "q3"], Status.INVALID_ARGUMENT, ["`q3`", "q4"]),
        (["package", "tiny", "--kv", "q8"], Status.INVALID_ARGUMENT, ["`q8`", "f16"]),
        (["package", "tiny", "--format", "onnx"], Status.INVALID_ARGUMENT, ["`onnx`", "gguf"]),
        (["package", "tiny", "--chat-template", "/no"], Status.NOT_FOUND, ["`/no`"]),
        (["package", "/no/such"], Status.NOT_FOUND, ["`/no/such`"]),
        (["inspect", "/no/such"], Status.NOT_FOUND, ["`/no/such`"]),
        (["inspect", "tiny", "--context", "0"], Status.INVALID_ARGUMENT, ["`0` for --context"]),
        (
            ["run", str(GOLDEN), "Hi", "--context", "0"],
            Status.INVALID_ARGUMENT,
            ["`0` for --context"],
        ),
        (["chat", str(GOLDEN), "--context", "0"], Status.INVALID_ARGUMENT, ["`0` for --context"]),
        (["verify", "/no/such"], Status.NOT_FOUND, ["`/no/such`"]),
        (["profiles", "show", "pixel8000"], Status.NOT_FOUND, ["`pixel8000`", "pixel8"]),
        (["profiles", "new"], Status.INVALID_ARGUMENT, ["--from-device or --from"]),
    ],
)
def test_a_request_that_cannot_be_met_says_why(
    words: list[str], code: Status, sentences: list[str]
) -> None:
    refused(in_process(*words), code, *sentences)


def test_an_error_is_json_too_where_a_machine_reads() -> None:
    run = sphere_edge("profiles", "show", "pixel9000", "--json")
    assert run.returncode == Status.NOT_FOUND
    assert json.loads(run.stdout)["error"] == {
        "code": 11,
        "status": "NOT_FOUND",
        "message": "no device profile named `pixel9000`",
        "hint": "choose one of: pixel9, pixel10, pixel8",
    }


def test_a_wrong_command_line_is_json_too() -> None:
    run = sphere_edge("profiles", "match", "--json")
    assert run.returncode == USAGE
    assert json.loads(run.stdout)["error"] == {
        "code": 64,
        "status": "USAGE",
        "message": "missing option `--device` / `-d`",
        "hint": "see `sphere-edge profiles match --help`",
    }


def test_the_former_name_of_a_command_works_and_warns(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["a fox", str(tmp_path / "none"), "-o", str(tmp_path / "fox.png")]
    assert __main__.main(["generate-image", *words]) == Status.NOT_FOUND
    expected = capsys.readouterr().err
    assert "`imagine`" not in expected
    assert __main__.main(["imagine", *words, "--negative", "a dog"]) == Status.NOT_FOUND
    goes = "the old name will be removed in the next release"
    assert capsys.readouterr().err == (
        f"warning: `imagine` is now `generate-image`; {goes}\n"
        f"warning: `--negative` is now `--negative-prompt`; {goes}\n{expected}"
    )


def test_a_sound_bundle_gives_its_id_on_stdout_and_talk_on_stderr() -> None:
    run = sphere_edge("verify", str(GOLDEN))
    assert run.returncode == 0
    assert run.stdout == json.loads((GOLDEN / "bundle.json").read_text())["id"] + "\n"
    assert "4 files" in run.stderr


def test_a_flipped_byte_is_found_by_verify(tmp_path: Path) -> None:
    bundle = shutil.copytree(GOLDEN, tmp_path / "bundle")
    weights = bundle / "weights" / "model-00001.safetensors"
    content = bytearray(weights.read_bytes())
    content[500] ^= 1
    weights.write_bytes(content)
    refused(in_process("verify", str(bundle)), Status.MODEL_CORRUPT, "weights/model-00001")


def test_profiles_can_be_listed_shown_and_validated(tmp_path: Path) -> None:
    assert "pixel8" in in_process("profiles", "list").stdout
    names = [
        profile["name"] for profile in json.loads(in_process("profiles", "list", "--json").stdout)
    ]
    assert {"host", "pixel8", "jetson-orin-nano", "iphone15-pro"} <= set(names)
    assert "Cortex-X3" in in_process("profiles", "show", "pixel8").stdout
    mine = tmp_path / "mine.toml"
    mine.write_text((GOLDEN.parents[2] / "device_profiles" / "pixel8.toml").read_text())
    refused(in_process("profiles", "validate", str(mine)), Status.INVALID_ARGUMENT, "`pixel8`")
    mine.write_text(mine.read_text().replace('name = "pixel8"', 'name = "mine"'))
    assert "mine" in in_process("profiles", "validate", str(mine)).stdout


def test_a_profile_is_copied_to_be_changed(tmp_path: Path) -> None:
    mine = tmp_path / "my-s24.toml"
    made = in_process("profiles", "new", "--from", "galaxy-s24", "-o", str(mine))
    assert made.stdout == f"{mine}\n", made.stderr
    # As docs/gpu.md tells, to have weights read as textures.
    text = mine.read_text()
    assert "\ntextures = false\n" in text
    mine.write_text(text.replace("textures = false", "textures = true"))
    copied, original = (
        json.loads(in_process("profiles", "show", name, "--json").stdout)
        for name in (str(mine), "galaxy-s24")
    )
    assert copied["name"] == "my-s24"
    assert copied["gpu"].pop("textures")
    assert not original["gpu"].pop("textures")
    assert {**copied, "name": "galaxy-s24"} == original


def test_a_bundle_and_a_model_can_be_inspected() -> None:
    found = json.loads(in_process("inspect", str(GOLDEN), "--json").stdout)
    assert (found["name"], found["engine"]) == ("golden", "tvm")
    assert "lib/model.so" in in_process("inspect", str(GOLDEN)).stdout


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    program = f"{sys.executable} -m sphere_edge profiles list | head -c 1"
    run = subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.stderr == ""


def test_no_colour_where_it_is_not_wanted() -> None:
    assert "\x1b" not in sphere_edge("profiles", "list", NO_COLOR="1").stdout
    assert "\x1b" not in sphere_edge("verify", "/no", NO_COLOR="1").stderr


def test_a_bug_of_ours_is_shown_whole_with_the_request_to_report_it() -> None:
    broken = (
        "import sys; from sphere_edge import __main__, cli\n"
        "def action(): raise KeyError('oops')\n"
        "cli.parse = lambda words: action\n"
        "sys.exit(__main__.main(['verify', '--json']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", broken], capture_output=True, text=True, check=False
    )
    assert run.returncode == Status.INTERNAL
    assert json.loads(run.stdout)["error"]["status"] == "INTERNAL"
    assert "Traceback" in run.stderr
    assert "this is a bug in sphere-edge\n\nhint: report it" in run.stderr
