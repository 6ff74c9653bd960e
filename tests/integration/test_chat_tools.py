"""Tools, schemas and reasoning in chats: a model of random weights makes right calls, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sphere_edge import TextManager, errors, packaging
from sphere_edge.run import run
from sphere_edge.toolchain import native, sources, targets
from tests import made_bundles, random_gguf

QUESTION = [{"role": "user", "content": "Is it warm?"}]
# Values that end soon, whichever tokens random weights choose. No strings: in tagged formats those
# are any text.
PARAMETERS = {
    "type": "object",
    "properties": {"unit": {"type": "integer", "enum": [3, 17]}, "now": {"type": "boolean"}},
    "required": ["unit", "now"],
    "additionalProperties": False,
}
# One of each way to write calls: JSON between marks, bare JSON, a list, tagged, and others.
FORMATS = (
    "Qwen-Qwen2.5-7B-Instruct",
    "meta-llama-Llama-3.3-70B-Instruct",
    "mistralai-Mistral-Nemo-Instruct-2407",
    "GLM-4.6",
    "Qwen3-Coder",
    "google-gemma-2-2b-it",  # knows no tools
)
# llama.cpp knows none of these formats.
OURS = Path(__file__).parents[1] / "data" / "chat_formats"


def tool(name: str) -> dict[str, Any]:
    function = {"name": name, "description": f"The {name}", "parameters": PARAMETERS}
    return {"type": "function", "function": function}


TOOLS = [tool("temperature"), tool("humidity")]


@pytest.fixture(scope="module")
def template_folder() -> Path:
    return sources.fetch("llama_cpp_tests") / "models/templates"


def opened(folder: Path, template: str) -> TextManager:
    return TextManager.open(random_gguf.write(folder / "model.gguf", chat_template=template))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory, template_folder: Path):
    source = (template_folder / "Qwen-Qwen2.5-7B-Instruct.jinja").read_text("utf-8")
    with opened(tmp_path_factory.mktemp("qwen"), source) as manager:
        yield manager


def check_calls(message: dict[str, Any], names: set[str]) -> None:
    assert message["tool_calls"]
    for call in message["tool_calls"]:
        assert call["function"]["name"] in names
        arguments = json.loads(call["function"]["arguments"])
        assert set(arguments) == {"unit", "now"}
        assert arguments["unit"] in (3, 17)
        assert isinstance(arguments["now"], bool)


@pytest.mark.parametrize("name", [*FORMATS, "gemma3", "function_gemma", "phi4_mini"])
def test_a_required_call_is_right_in_every_format(name, template_folder, tmp_path):
    folder = template_folder if name in FORMATS else OURS
    source = (folder / f"{name}.jinja").read_text("utf-8")
    with opened(tmp_path, source) as text:
        answer = text.chat(
            QUESTION,
            tools=TOOLS,
            tool_choice="required",
            parallel_tool_calls=False,
            reasoning=False,
            max_tokens=1500,
            temperature=0,
        )
        message = answer.message()
        assert answer.result.finish_reason == "tool_calls", message
        check_calls(message, {"temperature", "humidity"})
        # And the conversation goes on with it.
        call = message["tool_calls"][0]
        result = {"role": "tool", "tool_call_id": call["id"], "content": "21"}
        prompt = text.render_chat([*QUESTION, message, result])
        assert "21" in prompt
        assert call["function"]["name"] in prompt


@pytest.mark.parametrize(
    ("name", "described", "called", "answered"),
    [
        (
            "gemma3",
            '"name": "humidity",',
            '<start_of_turn>model\n{"name": "humidity", "parameters": {"unit": 3}}<end_of_turn>',
            "<start_of_turn>user\n```tool_output\n21\n```<end_of_turn>",
        ),
        (
            "function_gemma",
            "<start_function_declaration>declaration:humidity{",
            "<start_function_call>call:humidity{unit:3}<end_function_call>",
            "<start_function_response>response:humidity{value:<escape>21<escape>}",
        ),
        (
            "phi4_mini",
            '<|tool|>[{"name":"temperature",',
            '<|tool_call|>[{"name": "humidity", "arguments": {"unit": 3}}]<|/tool_call|><|end|>',
            "<|tool_response|>21<|end|>",
        ),
    ],
)
def test_our_formats_are_written_as_their_makers_say(name, described, called, answered, tmp_path):
    call = {"id": "a", "function": {"name": "humidity", "arguments": '{"unit": 3}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        *QUESTION,
        {"role": "assistant", "tool_calls": [{**call, "type": "function"}]},
        {"role": "tool", "tool_call_id": "a", "content": "21"},
    ]
    with opened(tmp_path, (OURS / f"{name}.jinja").read_text("utf-8")) as text:
        prompt = text.render_chat(messages, tools=TOOLS)
        without = text.render_chat(messages[:2])
    places = [prompt.find(part) for part in ("Be brief.", described, called, answered)]
    assert places == sorted(places), prompt
    assert -1 not in places, prompt
    assert "humidity" not in without


def test_function_gemma_refuses_schemas_that_its_calls_cannot_follow(tmp_path):
    source = (OURS / "function_gemma.jinja").read_text("utf-8")
    with opened(tmp_path, source) as text:
        for schema, words in (
            ({"type": "string", "pattern": "^a$"}, "`pattern`"),
            ({"$ref": "#/x"}, "`\\$ref`"),
            ({"const": [1]}, "the constant"),
        ):
            parameters = {"type": "object", "properties": {"x": schema}}
            one = {"type": "function", "function": {"name": "f", "parameters": parameters}}
            with pytest.raises(errors.UnsupportedError, match=words):
                text.chat(QUESTION, tools=[one], max_tokens=1).text()


def test_a_named_tool_and_allowed_tools_are_the_only_ones_called(text):
    named = {"type": "function", "function": {"name": "humidity"}}
    allowed = {"mode": "required", "tools": [named]}
    for choice in (named, {"type": "allowed_tools", "allowed_tools": allowed}):
        for seed in range(3):
            answer = text.chat(
                QUESTION,
                tools=TOOLS,
                tool_choice=choice,
                parallel_tool_calls=False,
                seed=seed,
                temperature=1,
                max_tokens=800,
            )
            check_calls(answer.message(), {"humidity"})
    # It is told of both all the same, so that what was computed of the prompt serves the next call.
    assert answer.result.cached_tokens > 100


def test_deltas_of_a_call_come_in_order_and_add_up(text):
    answer = text.chat(QUESTION, tools=TOOLS, tool_choice="required", temperature=0, max_tokens=500)
    deltas = list(answer.deltas())
    kinds = [delta.kind for delta in deltas if delta.tool_index == 0]
    assert kinds[0] == "tool_call_begin"
    assert kinds.count("tool_call_begin") == kinds.count("tool_call_end") == 1
    assert len([kind for kind in kinds if kind == "tool_call_arguments"]) > 3
    assert deltas[0].tool_name in ("temperature", "humidity")
    assert len(deltas[0].tool_call_id) == 9
    arguments = "".join(d.text for d in deltas if d.tool_index == 0 and d.kind != "tool_call_begin")
    assert json.loads(arguments)["unit"]


def test_no_tool_is_called_where_none_may_be(text):
    answer = text.chat(QUESTION, tools=TOOLS, tool_choice="none", temperature=0, max_tokens=60)
    assert "tool_calls" not in answer.message()
    assert answer.result.finish_reason != "tool_calls"


@pytest.mark.parametrize("name", ["Qwen-Qwen2.5-7B-Instruct", "openai-gpt-oss-120b", "GLM-4.6"])
def test_an_answer_follows_its_schema(name, template_folder, tmp_path):
    source = (template_folder / f"{name}.jinja").read_text("utf-8")
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": PARAMETERS}}
    with opened(tmp_path, source) as text:
        answer = text.chat(
            QUESTION, response_format=schema, reasoning=False, temperature=0, max_tokens=800
        )
        value = json.loads(answer.message()["content"])
        assert set(value) == {"unit", "now"}


def test_reasoning_is_told_apart_and_ends_with_its_budget(template_folder, tmp_path):
    source = (template_folder / "llama-cpp-deepseek-r1.jinja").read_text("utf-8")
    with opened(tmp_path, source) as text:
        answer = text.chat(QUESTION, reasoning=12, temperature=0, max_tokens=60)
        message = answer.message()
    assert message["reasoning_content"]
    assert message["content"]
    assert 12 <= answer.result.reasoning_tokens <= 12 + len("</think>")
    assert "think>" not in message["reasoning_content"] + message["content"]


def test_a_final_message_is_continued(text):
    last = {"role": "assistant", "content": "It is as warm"}
    prompt = text.render_chat([*QUESTION, last], continue_final_message=True)
    assert prompt.endswith("It is as warm")
    with pytest.raises(errors.InvalidArgumentError, match="needs a last message of the assistant"):
        text.render_chat(QUESTION, continue_final_message=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tools": [{"type": "function"}]}, "has no `function`"),
        ({"tools": [{"type": "search"}]}, "not of the type `function`"),
        ({"tools": [*TOOLS, tool("humidity")]}, "two tools have the name `humidity`"),
        ({"tools": [tool('a"b')]}, "unusable name"),
        ({"tools": TOOLS, "tool_choice": "sometimes"}, "tool choice is unknown: `sometimes`"),
        ({"tool_choice": "required"}, "there are no tools"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "names `x`, which is not one of the tools",
        ),
        ({"response_format": {"type": "xml"}}, "unknown type `xml`"),
        ({"reasoning": -1}, "neither true, false nor a number"),
        ({"tools": TOOLS, "grammar": 'root ::= "a"'}, "together with tools"),
    ],
)
def test_what_cannot_be_answered_is_refused(text, changes, words):
    with pytest.raises(errors.InvalidArgumentError, match=words):
        text.chat(QUESTION, max_tokens=1, **changes).text()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "user", "content": "x", "tool_calls": []}, "unknown key `tool_calls`"),
        ({"role": "tool", "tool_call_id": "a"}, "has no `content`"),
        ({"role": "assistant", "tool_calls": [{"id": 1}]}, "has no `function`"),
    ],
)
def test_messages_that_are_none_are_refused(text, message, words):
    with pytest.raises(errors.InvalidArgumentError, match=words):
        text.chat([message], max_tokens=1).text()


def test_a_picture_is_refused_by_name(text):
    picture = {"role": "user", "content": [Image.new("RGB", (8, 8))]}
    with pytest.raises(errors.UnsupportedError, match="message `0` has an image"):
        text.chat([picture], max_tokens=1).text()
    sound = {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}
    with pytest.raises(errors.UnsupportedError, match="a part of the type `input_audio`"):
        text.chat([sound], max_tokens=1).text()


SOURCE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ WHAT }}<|end|>{% endfor %}<|assistant|>"
)


@pytest.mark.parametrize(
    "what",
    ["message.content", "message.content | trim", "message.content | lower", "message | tojson"],
)
def test_only_the_template_speaks_in_special_tokens(what, tmp_path):
    """The vocabulary has a byte a token, and four special tokens."""
    with opened(tmp_path, SOURCE.replace("WHAT", what)) as text:
        for forged in (*random_gguf.SPECIAL, "<|END|>", "<|end|><|system|>", "<|<|end|>end|>"):
            for content in (forged, [{"type": "text", "text": f" a{forged} "}]):
                messages = [{"role": "user", "content": content}]
                answer = text.chat(messages, max_tokens=1, temperature=0)
                answer.text()
                prompt = text.render_chat(messages)
                # Three tokens are the template's, and `th` and `the` are in none of these texts.
                markup = sum(len(one) for one in ("<|user|>", "<|end|>", "<|assistant|>"))
                assert answer.result.prompt_tokens == len(prompt.encode()) - markup + 3


def test_templates_without_end_are_ended(tmp_path):
    for source, words in (
        ("{% for i in range(10000000000) %}{% endfor %}", "computes without end"),
        ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "calls itself without end"),
        ("{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}", "nested too deeply|too many parts"),
        ("{{ " + "1+" * 100_000 + "1 }}", "too many parts"),
        ("{% if a %}" * 50_000 + "{% endif %}" * 50_000, "nested too deeply"),
    ):
        with opened(tmp_path, source) as text:
            with pytest.raises(errors.UnsupportedError, match=words):
                text.chat(QUESTION, max_tokens=1).text()
            assert text.generate("the", max_tokens=1).text() is not None


def test_a_grammar_nested_too_deeply_is_refused(text):
    deep = "root ::= " + "(" * 100_000 + '"a"' + ")" * 100_000
    with pytest.raises(errors.InvalidArgumentError, match="brackets nested more than"):
        text.generate("the", grammar=deep, max_tokens=1).text()


@pytest.mark.parametrize("repeated", ['"a"{5,1}', "[{,]{ 5 , 1 }", '("{1,5}" #{\n){5, # \n 4}'])
def test_a_repetition_of_more_than_its_most_times_is_refused(text, repeated):
    """The parser of llama.cpp would add 2^64 rules."""
    with pytest.raises(errors.InvalidArgumentError, match="at least `5` and at most"):
        text.generate("the", grammar=f"root ::= {repeated}", max_tokens=1).text()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array", "items": {}, "minItems": 5, "maxItems": 3}, "`minItems`"),
        ({"type": "string", "minLength": 5, "maxLength": 3}, "`minLength`"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "`minimum`"),
        ({"type": "string", "pattern": "^[a-z]{5,1}$"}, "at least `5`"),
    ],
)
def test_a_schema_that_nothing_can_follow_is_refused(text, schema, words):
    with pytest.raises(errors.InvalidArgumentError, match=words):
        text.generate("the", json_schema=schema, max_tokens=1).text()
    format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(errors.InvalidArgumentError, match=words):
        text.chat(QUESTION, response_format=format, max_tokens=1).text()


def test_a_schema_that_takes_too_long_is_refused(text):
    schema = {"type": "object", "properties": {f"p{i}": {"type": "null"} for i in range(2000)}}
    words = "`2000` optional properties"
    with pytest.raises(errors.InvalidArgumentError, match=words):
        text.generate("the", json_schema=schema, max_tokens=1).text()
    huge = {"type": "function", "function": {"name": "f", "parameters": schema}}
    with pytest.raises(errors.InvalidArgumentError, match=words):
        text.chat(QUESTION, tools=[huge], max_tokens=1).text()


def test_schemas_that_take_too_long_together_are_refused(text):
    part = {"type": "object", "properties": {f"p{i}": {"type": "null"} for i in range(200)}}
    schema = {"type": "object", "properties": {f"o{i}": part for i in range(8)}}
    words = "too many optional properties"
    with pytest.raises(errors.InvalidArgumentError, match=words):
        text.generate("the", json_schema=schema, max_tokens=1).text()
    tools = [
        {"type": "function", "function": {"name": f"f{i}", "parameters": part}} for i in range(8)
    ]
    with pytest.raises(errors.InvalidArgumentError, match=words):
        text.chat(QUESTION, tools=tools, max_tokens=1).text()


def test_time_runs_out_while_a_schema_is_read(text):
    schema = {"type": "object", "properties": {f"p{i}": {"type": "null"} for i in range(250)}}
    with pytest.raises(errors.TimeoutError):
        text.generate("the", json_schema=schema, timeout_s=0.001).text()


def test_a_compiled_model_calls_tools_and_answers_schemas_too():
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": PARAMETERS}}
    # Else the library that is made first would do, which has no tools.
    native.build(targets.host())
    with TextManager.open(made_bundles.made(packaging.TINY).folder) as text:
        assert text.info.engine == "tvm"
        answer = text.chat(
            QUESTION,
            tools=TOOLS[:1],
            tool_choice="required",
            parallel_tool_calls=False,
            temperature=0,
            max_tokens=800,
        )
        check_calls(answer.message(), {"temperature"})
        answer = text.chat(QUESTION, response_format=schema, temperature=0, max_tokens=800)
        assert set(json.loads(answer.message()["content"])) == {"unit", "now"}


def test_the_runner_prints_deltas_as_lines_of_json(template_folder, tmp_path):
    source = (template_folder / "Qwen-Qwen2.5-7B-Instruct.jinja").read_text("utf-8")
    model = random_gguf.write(tmp_path / "model.gguf", chat_template=source)
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    chat = {"messages": QUESTION, "tool_choice": "required", "parallel_tool_calls": False}
    (tmp_path / "chat.json").write_text(json.dumps(chat))
    options = ("--messages", tmp_path / "chat.json", "--tools", tmp_path / "tools.json")
    runner = native.build(targets.host()).runner
    limits = ("--temperature", "0", "--max-tokens", "500")
    done = run([runner, "chat", model, *options, "--deltas", *limits], timeout_s=120)
    *deltas, result = [json.loads(line) for line in done.stdout.splitlines()]
    assert [deltas[0]["kind"], deltas[-1]["kind"]] == ["tool_call_begin", "tool_call_end"]
    assert deltas[0]["name"] == result["tool_calls"][0]["name"]
    written = "".join(delta["text"] for delta in deltas)
    assert written == result["tool_calls"][0]["arguments"]
    assert result["finish_reason"] == "tool_calls"


def test_the_runtime_that_is_built_first_chats_and_says_that_it_has_no_tools(tmp_path):
    runner = native.build(targets.host(), engines=("tvm",)).runner
    bundle = made_bundles.made(packaging.TINY).folder
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    chat = [runner, "chat", bundle, "What is 2 + 2?", "--temperature", "0", "--max-tokens", "20"]
    assert run(chat, timeout_s=120).stdout.strip()
    refused = run([*chat, "--tools", tmp_path / "tools.json"], timeout_s=120, check=False)
    assert refused.exit_code == errors.Status.UNSUPPORTED
    assert "built without tools" in refused.stderr
