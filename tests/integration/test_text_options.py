"""Options of opening and of the command line: code in another place, files, several at once."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from sphere_edge import errors, packaging
from sphere_edge.runtime.text import TextManager
from tests import made_bundles, random_gguf
from tests.cli_process import in_process

FORMATS = Path(__file__).parents[1] / "data" / "chat_formats"


@pytest.mark.parametrize("name", ["model.so", "libmodel.so", "libmodel-{}.so"])
def test_compiled_code_may_lie_in_another_folder(name: str, tmp_path: Path) -> None:
    bundle, code = tmp_path / "bundle", tmp_path / "code"
    shutil.copytree(made_bundles.made(packaging.TINY).folder, bundle)
    code.mkdir()
    if "{}" in name:
        name = name.format(hashlib.sha256((bundle / "lib/model.so").read_bytes()).hexdigest()[:12])
        (code / "libmodel.so").write_bytes(b"that of another bundle of the app")
    shutil.move(bundle / "lib" / "model.so", code / name)
    with pytest.raises(errors.ModelCorruptError):
        TextManager.open(bundle)
    with TextManager.open(bundle, code_folder=code) as text:
        assert text.generate("the", max_tokens=2).text()
    with (code / name).open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(errors.ModelCorruptError, match="another hash"):
        TextManager.open(bundle, code_folder=code)
    with pytest.raises(errors.NotFoundError, match="no folder `.*nowhere` with compiled code"):
        TextManager.open(bundle, code_folder=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.ModelCorruptError, match="is missing in `.*empty`") as failure:
        TextManager.open(bundle, code_folder=tmp_path / "empty")
    assert "build the app" in str(failure.value.hint)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights that calls tools."""
    template = (FORMATS / "phi4_mini.jinja").read_text("utf-8")
    folder = tmp_path_factory.mktemp("talks")
    return random_gguf.write(folder / "talks.gguf", chat_template=template)


def test_run_takes_tools_and_prints_their_calls(talks: Path, tmp_path: Path) -> None:
    parameters = {
        "type": "object",
        "properties": {"on": {"type": "boolean"}},
        "required": ["on"],
        "additionalProperties": False,
    }
    function = {"name": "light", "parameters": parameters}
    (tmp_path / "tools.json").write_text(json.dumps([{"type": "function", "function": function}]))
    request = 'tool_choice = "required"\nparallel_tool_calls = false\nmax_tokens = 400\n'
    (tmp_path / "request.toml").write_text(request)
    words = ["run", talks, "Light!", "--tools", tmp_path / "tools.json", "--temperature", "0"]
    words += ["--request", tmp_path / "request.toml"]
    call = json.loads(in_process(*words).stdout.strip().splitlines()[-1])
    assert call["name"] == "light"
    assert set(json.loads(call["arguments"])) == {"on"}
    document = json.loads(in_process(*words, "--json").stdout)
    assert document["finish_reason"] == "tool_calls"
    assert document["tool_calls"][0]["function"] == call


def test_run_takes_grammars_schemas_and_stops(talks: Path, tmp_path: Path) -> None:
    (tmp_path / "yes.gbnf").write_text('root ::= "yes, yes"')
    words = ["run", talks, "Is it?", "--grammar", tmp_path / "yes.gbnf"]
    assert in_process(*words).stdout.strip() == "yes, yes"
    assert in_process(*words, "--stop", ",").stdout.strip() == "yes"
    (tmp_path / "schema.json").write_text('{"enum": ["a", "b"]}')
    schema = ["run", talks, "Which?", "--json-schema", tmp_path / "schema.json", "--top-k", "1"]
    assert json.loads(in_process(*schema).stdout) in ("a", "b")


def test_bench_measures_several_conversations_at_once(talks: Path) -> None:
    words = ["bench", talks, "--sequences", "3", "--repeat", "2", "--new-tokens", "8"]
    document = json.loads(in_process(*words, "--prompt-tokens", "4", "--json").stdout)
    (together,) = [one for one in document["series"] if one["name"] == "parallel_decode"]
    assert (together["tokens"], together["sequences"], len(together["samples"])) == (8, 3, 2)
    assert document["parameters"]["sequences"] == 3
    table = in_process(*words, "--prompt-tokens", "4").stdout
    assert "decode 8, 3 at once" in table
