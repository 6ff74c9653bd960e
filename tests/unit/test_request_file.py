"""Requests as files: any field by its name, flags over files, one sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge.errors import InvalidArgumentError, NotFoundError, SphereEdgeError
from sphere_edge.runtime.request_file import Files, from_files

TOML = """
top_p = 0.9
stop_token_ids = [7]
tool_choice = "required"

[logit_bias]
12 = -5.5

[[tools]]
type = "function"
[tools.function]
name = "weather"
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_has_fields_of_both_and_flags_win(tmp_path: Path) -> None:
    path = written(tmp_path, "request.toml", TOML)
    found = from_files(Files(path), {"top_p": 0.5, "top_k": None, "seed": 3})
    assert (found.request.top_p, found.request.seed, found.request.top_k) == (0.5, 3, None)
    assert found.request.stop_token_ids == [7]
    assert found.request.logit_bias == {12: -5.5}
    assert found.options.tool_choice == "required"
    assert found.options.tools[0]["function"]["name"] == "weather"
    assert found.chat_fields() == ["tools", "tool_choice"]
    assert from_files(Files(), {}).chat_fields() == []


def test_tools_schemas_and_grammars_have_files_of_their_own(tmp_path: Path) -> None:
    tools = written(tmp_path, "tools.json", '{"tools": [{"type": "function"}]}')
    schema = written(tmp_path, "schema.json", '{"type": "object"}')
    grammar = written(tmp_path, "yes.gbnf", 'root ::= "yes"')
    assert from_files(Files(grammar=grammar), {}).request.grammar == 'root ::= "yes"'
    alone = from_files(Files(json_schema=schema), {})
    assert alone.request.json_schema == {"type": "object"}
    request, options = from_files(Files(tools=tools, json_schema=schema), {}).for_chat()
    assert options.tools == [{"type": "function"}]
    assert request.json_schema is None
    assert options.response_format is not None
    assert options.response_format["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "top_q = 1", "the unknown key `top_q`"),
        ("a.toml", "logprobs = true", "the unknown key `logprobs`"),
        ("a.toml", "top_p = ", "is not valid TOML"),
        ("a.json", "[1]", "is not an object"),
        ("a.json", '{"top_p": 0.5, "top_p": 0.9}', "duplicate key `top_p`"),
        ("a.json", '{"logit_bias": {"1": 1, "1": 2}}', "duplicate key `1`"),
        ("a.toml", "top_p = 0.5\ntop_p = 0.9", "is not valid TOML"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.toml", "a = " + "[" * 100_000, "nested too deeply|not valid TOML"),
        ("a.json", '{"logit_bias": {"x": 1}}', "the key `x`"),
        ("a.json", '{"logit_bias": {"-1": 1}}', "the key `-1`"),
    ],
)
def test_what_a_file_must_not_say(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        from_files(Files(written(tmp_path, name, text)), {})


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        from_files(Files(tmp_path / "none.toml"), {})
    (tmp_path / "latin.json").write_bytes(b'{"grammar": "\xe9"}')
    for path in (tmp_path, Path("/dev/zero"), tmp_path / "latin.json"):
        with pytest.raises(SphereEdgeError):
            from_files(Files(path), {})
    with pytest.raises(InvalidArgumentError, match="not a list of tools"):
        from_files(Files(tools=written(tmp_path, "t.json", '"x"')), {})
