"""Values of requests that no program means, such as files have them: each is one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sphere_edge import TextManager, TextRequest
from sphere_edge.errors import InvalidArgumentError, StorageError
from sphere_edge.runtime import arguments, binding, chat_options, text_request
from sphere_edge.runtime.chat_options import ChatOptions
from sphere_edge.runtime.request_file import Files, from_files


@pytest.mark.parametrize("field", ["stop", "stop_token_ids", "dry_sequence_breakers"])
@pytest.mark.parametrize("value", [5, "ab", {"a": 1}])
def test_what_is_no_list_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{field} is not a list"):
        text_request.fill(binding.GenerateOptions(), TextRequest(**{field: value}))


@pytest.mark.parametrize("tools", [5, "ab", {"type": "function"}])
def test_tools_that_are_no_list_are_refused(tools: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="tools is not a list"):
        chat_options.conversation([], ChatOptions(tools=tools), None)


def test_no_stop_tokens_may_be_said_as_null() -> None:
    nothing: Any = {"stop": None, "stop_token_ids": None}
    options = binding.GenerateOptions()
    text_request.fill(options, TextRequest(**nothing))
    assert (options.stop_count, options.stop_token_count) == (0, 0)


def test_numbers_that_nothing_can_hold_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="temperature is not a number"):
        arguments.number("temperature", 10**400)
    # Python does not even write these.
    with pytest.raises(InvalidArgumentError, match="temperature is not a number"):
        arguments.number("temperature", 1 << 40_000)
    with pytest.raises(InvalidArgumentError, match="seed is not a whole number"):
        arguments.count("seed", 1 << 40_000, 10)


def test_variables_that_are_too_deep_for_json_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "deep.toml"
    file.write_text("[chat_template_kwargs]\n" + ".".join(["a"] * 5_000) + " = 1")
    request = from_files(Files(request=file), {}).request
    with pytest.raises(InvalidArgumentError, match="nested too deeply"):
        chat_options.conversation([], ChatOptions(), request.chat_template_kwargs)


def test_names_that_are_too_long_are_refused() -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        from_files(Files(request=Path("x" * 5_000)), {})
    with pytest.raises(StorageError, match="cannot be read"):
        TextManager.open("x" * 5_000)


def test_a_path_does_not_end_at_a_nul() -> None:
    with pytest.raises(InvalidArgumentError, match="NUL character"):
        arguments.path("monday\0.conversation")
    number: Any = 5
    with pytest.raises(InvalidArgumentError, match="not a path"):
        arguments.path(number)
