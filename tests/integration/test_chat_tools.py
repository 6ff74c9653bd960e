"""Tools, schemas and reasoning in chats: a model of random weights makes right calls, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

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


@pytest.mark.parametrize("name", [*FORMATS, "gemma3", "function_gemma", "phi4_mini"])
def test_a_required_call_that_is_cut_off_is_not_lost(name, template_folder, tmp_path):
    folder = template_folder if name in FORMATS else OURS
    source = (folder / f"{name}.jinja").read_text("utf-8")
    with opened(tmp_path, source) as text:
        for most in (1, 3, 7, 13, 20):
            answer = text.chat(
                QUESTION,
                tools=TOOLS,
                tool_choice="required",
                reasoning=False,
                max_tokens=most,
                temperature=0,
                logprobs=True,
            )
            deltas = list(answer.deltas())
            said = b"".join(one.bytes for delta in deltas for one in delta.logprobs)
            told = "".join(delta.text for delta in deltas if delta.kind == "text")
            is_call = any(delta.kind == "tool_call_begin" for delta in deltas)
            # White space is not lost.
            assert is_call or told.strip() == said.decode(errors="replace").strip(), most


DOUBLED = (
    "{%% set ns = namespace(x='ab') %%}"
    "{%% for i in range(60) %%}{%% set ns.x = %s %%}{%% endfor %%}"
)
GROWING = (
    *("ns.x ~ ns.x", "ns.x * 2", "[ns.x, ns.x]|join(ns.x)", "ns.x|replace('', ns.x)"),
    *("ns.x|replace('a', ns.x)", "[ns.x, ns.x]|tojson", "'{}{}'|format(ns.x, ns.x)"),
    "(ns.x ~ '\n' ~ ns.x)|indent(ns.x|length)",
)
# Each value holds the one before twice: small, and endless once it is written out.
NESTED = ("[ns.x, ns.x]", "{'a': ns.x, 'b': ns.x}", "[ns.x] + [ns.x]")
NEST_DEEPLY = "{% for i in range(200000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}"


def test_templates_without_end_are_ended(tmp_path):
    for source, words in (
        ("{% for i in range(10000000000) %}{% endfor %}", "computes without end"),
        ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "calls itself without end"),
        ("{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}", "nested too deeply|too many parts"),
        ("{{ " + "1+" * 100_000 + "1 }}", "too many parts"),
        ("{% if a %}" * 50_000 + "{% endif %}" * 50_000, "nested too deeply"),
        *((DOUBLED % "ns.x + ns.x", "takes too much memory"),),
        *((DOUBLED % one, "takes too much memory") for one in GROWING),
        *((DOUBLED % one + "{{ ns.x|tojson }}", "without end|too much memory") for one in NESTED),
        ("{% set x = 'a' * 9000000000 %}", "takes too much memory"),
        ("{{ 'a'|indent(9000000000, true) }}", "takes too much memory"),
        ("{{ [1, 2]|tojson(indent=2000000000) }}", "takes too much memory"),
        ("{% set ns = namespace(x=[1]) %}" + NEST_DEEPLY, "without end|too much memory"),
        ("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns.x|string }}", "calls itself"),
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


def test_many_optional_properties_in_many_objects_are_followed(text):
    part = {"type": "object", "properties": {f"p{i}": {"type": "null"} for i in range(200)}}
    schema = {"type": "object", "properties": {f"o{i}": part for i in range(8)}}
    assert text.generate("the", json_schema=schema, max_tokens=1).text() == "{"


def test_a_strict_tool_is_followed_exactly_or_refused(text):
    parameters = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}
    function = {"name": "f", "parameters": parameters}
    strict = {"type": "function", "function": {**function, "strict": True}}
    with pytest.raises(errors.InvalidArgumentError, match="`f`.*`#/properties/a/pattern`"):
        text.chat(QUESTION, tools=[strict], max_tokens=1).text()
    loose = {"type": "function", "function": function}
    assert text.chat(QUESTION, tools=[loose], max_tokens=1).message()


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        (
            {"properties": {"on": {"type": "string", "format": "date"}}},
            "#/properties/on/format",
        ),
        (
            {
                "properties": {
                    "a": {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True}
                }
            },
            "#/properties/a/uniqueItems",
        ),
        ({"properties": {"a": {"type": "null"}}, "minProperties": 1}, "#/minProperties"),
        ({"properties": {"a": {"type": "null"}}, "maxProperties": 1}, "#/maxProperties"),
    ],
)
def test_function_gemma_refuses_strict_tools_that_its_calls_cannot_follow(
    tmp_path, parameters, path
):
    source = (OURS / "function_gemma.jinja").read_text("utf-8")
    closed = {"type": "object", "additionalProperties": False, **parameters}
    function = {"name": "f", "parameters": closed}
    with opened(tmp_path, source) as text:
        strict = {"type": "function", "function": {**function, "strict": True}}
        with pytest.raises(errors.UnsupportedError, match=f"`f`.*`{path}`"):
            text.chat(QUESTION, tools=[strict], max_tokens=1).text()
        # It does not matter where no tool may be called.
        assert text.chat(QUESTION, tools=[strict], tool_choice="none", max_tokens=1).message()
        loose = {"type": "function", "function": function}
        assert text.chat(QUESTION, tools=[loose], max_tokens=1).message()


LIMITED = {
    "type": "object",
    "properties": {
        "unit": {"enum": ["celsius", "kelvin"]},
        "code": {"type": "string", "pattern": "^[a-c]{2}$"},
        "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
        "note": {"type": "string", "maxLength": 3, "pattern": "^[ -~]*$"},
    },
    "required": ["unit", "code", "share", "note"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("name", FORMATS)
def test_calls_follow_all_of_a_schema_in_each_format(name, template_folder, tmp_path):
    source = (template_folder / f"{name}.jinja").read_text("utf-8")
    one = {"name": "f", "parameters": LIMITED, "strict": True}
    with opened(tmp_path, source) as text:
        for seed in range(3):
            answer = text.chat(
                QUESTION,
                tools=[{"type": "function", "function": one}],
                tool_choice="required",
                parallel_tool_calls=False,
                reasoning=False,
                temperature=1.5,
                seed=seed,
                max_tokens=800,
            )
            for call in answer.message().get("tool_calls", []):
                jsonschema.validate(json.loads(call["function"]["arguments"]), LIMITED)


def test_time_runs_out_while_a_schema_is_read(text):
    schema = {"type": "object", "properties": {f"p{i}": {"type": "null"} for i in range(250)}}
    with pytest.raises(errors.TimeoutError):
        text.generate("the", json_schema=schema, timeout_s=0.001).text()


def test_a_compiled_model_calls_tools_and_answers_schemas_too():
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": PARAMETERS}}
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
