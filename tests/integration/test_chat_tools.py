"""Tools, schemas and reasoning in chats: a model of random weights makes right calls, too."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sphere_edge import TextManager, errors, packaging
from sphere_edge.run import run
from sphere_edge.runtime.generation import Generation
from sphere_edge.toolchain import sources
from tests import made_bundles, random_gguf, runtimes

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
REASONING = Path(__file__).parents[1] / "foundation_models" / "reasoning.jinja"
ANSWER = {
    "type": "object",
    "properties": {"warm": {"type": "boolean"}, "level": {"enum": [1, 2]}},
    "required": ["warm", "level"],
}
ANSWER_FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": ANSWER}}
# How calls begin, as far as to tell them from an answer of `ANSWER_FORMAT`, which begins `{"w`.
CALL_BEGINS = {
    "meta-llama-Llama-3.3-70B-Instruct": '{"n',
    "mistralai-Mistral-Nemo-Instruct-2407": "[",
    "google-gemma-2-2b-it": '{"n',
    "gemma3": '{"n',
}


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


@pytest.fixture(params=[*FORMATS, "gemma3", "function_gemma", "phi4_mini"])
def format_name(request) -> str:
    return request.param


@pytest.fixture
def in_format(format_name, template_folder, tmp_path):
    folder = template_folder if format_name in FORMATS else OURS
    with opened(tmp_path, (folder / f"{format_name}.jinja").read_text("utf-8")) as manager:
        yield manager


def test_a_required_call_is_right_in_every_format(in_format):
    answer = in_format.chat(
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
    prompt = in_format.render_chat([*QUESTION, message, result])
    assert "21" in prompt
    assert call["function"]["name"] in prompt


def test_a_required_call_that_is_cut_off_is_not_lost(in_format):
    for most in (1, 3, 7, 13, 20):
        answer = in_format.chat(
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


def likely(text: TextManager, begin: str) -> dict[int, float]:
    """Makes these characters the likeliest wherever a grammar leaves a choice."""
    return {token: 60.0 for one in begin for token in text.tokenize(one)}


def asked(text: TextManager, begin: str, **more: Any) -> Generation:
    options = {"tools": TOOLS, "response_format": ANSWER_FORMAT, "reasoning": False, **more}
    return text.chat(
        QUESTION,
        parallel_tool_calls=False,
        max_tokens=1500,
        temperature=0,
        logit_bias=likely(text, begin),
        **options,
    )


def test_an_answer_beside_tools_is_a_call_or_follows_the_schema(in_format, format_name):
    answer = asked(in_format, CALL_BEGINS.get(format_name, "<"))
    kinds = [delta.kind for delta in answer.deltas()]
    assert [kinds[0], kinds[-1]] == ["tool_call_begin", "tool_call_end"]
    assert set(kinds[1:-1]) == {"tool_call_arguments"}
    check_calls(answer.message(), {"temperature", "humidity"})
    assert answer.result.finish_reason == "tool_calls"

    answer = asked(in_format, '{"w')
    assert {delta.kind for delta in answer.deltas()} == {"text"}
    jsonschema.validate(json.loads(answer.message()["content"]), ANSWER)
    assert answer.result.finish_reason == "stop"


def test_the_tool_choice_decides_between_calls_and_a_schema(in_format, format_name):
    named = {"type": "function", "function": {"name": "humidity"}}
    for choice, names in (("required", {"temperature", "humidity"}), (named, {"humidity"})):
        answer = asked(in_format, '{"w', tool_choice=choice)
        check_calls(answer.message(), names)
    call = CALL_BEGINS.get(format_name, "<")
    answer = asked(in_format, call, tool_choice="none")
    jsonschema.validate(json.loads(answer.message()["content"]), ANSWER)
    assert "tool_calls" not in answer.message()
    only = {"mode": "auto", "tools": [named]}
    allowed = {"type": "allowed_tools", "allowed_tools": only}
    check_calls(asked(in_format, call + "t", tool_choice=allowed).message(), {"humidity"})
    answer = asked(in_format, "{}", response_format={"type": "json_object"})
    assert json.loads(answer.message()["content"]) == {}


def test_reasoning_comes_before_a_call_and_before_an_answer(tmp_path):
    with opened(tmp_path, REASONING.read_text("utf-8")) as text:
        for begin, kind in (("<", "tool_call_begin"), ('{"w', "text")):
            answer = asked(text, begin, reasoning=9)
            kinds = [delta.kind for delta in answer.deltas()]
            behind = kinds.index(kind)
            assert set(kinds[:behind]) == {"reasoning"}
            assert "reasoning" not in kinds[behind:]
            assert answer.result.reasoning_tokens >= 9
            if kind == "text":
                jsonschema.validate(json.loads(answer.message()["content"]), ANSWER)
            else:
                check_calls(answer.message(), {"temperature", "humidity"})


@pytest.mark.parametrize("name", ["Kimi-K2-Instruct", "meetkai-functionary-medium-v3.2"])
def test_schemas_hold_in_formats_for_which_llama_cpp_knows_none(name, template_folder, tmp_path):
    source = (template_folder / f"{name}.jinja").read_text("utf-8")
    with opened(tmp_path, source) as text:
        answer = asked(text, "The sky", tools=None)
        jsonschema.validate(json.loads(answer.message()["content"]), ANSWER)


def test_no_template_of_llama_cpp_refuses_tools_and_a_schema_together(template_folder, tmp_path):
    """Where this fails with another version of llama.cpp, its parsers have other rules."""
    templates = sorted(template_folder.glob("*.jinja"))
    assert len(templates) > 50
    for template in templates:
        with opened(tmp_path, template.read_text("utf-8")) as text:
            for reasoning in (True, False):
                assert text.render_chat(
                    QUESTION, tools=TOOLS, response_format=ANSWER_FORMAT, reasoning=reasoning
                )


def test_a_format_in_which_any_text_may_be_reasoning_is_refused_by_name(template_folder, tmp_path):
    source = (template_folder / "inclusionai-ling-3.0-flash.jinja").read_text("utf-8")
    # Without it, llama.cpp's parser takes any text before a call for reasoning.
    unmarked = source.replace("{{- '\\n<think></think>' }}", "")
    assert unmarked != source
    with opened(tmp_path, unmarked) as text:
        with pytest.raises(errors.UnsupportedError, match="may come before a tool call"):
            asked(text, "{").text()
        assert json.loads(asked(text, "{", tools=None).text())
    with opened(tmp_path, source) as text:
        check_calls(asked(text, "<").message(), {"temperature", "humidity"})


def test_a_second_call_that_is_cut_before_its_name_leaves_the_first_one_whole(
    in_format, format_name
):
    # Only another call can follow the first one, in Gemma's formats if both are in a list.
    bias = likely(in_format, "[") if format_name in ("google-gemma-2-2b-it", "gemma3") else {}
    bias |= {token: -math.inf for token in in_format.tokenize("<|end|>", parse_special=True)}

    def cut(most: int) -> Generation:
        return in_format.chat(
            QUESTION,
            tools=TOOLS,
            tool_choice="required",
            reasoning=False,
            temperature=0,
            logit_bias=bias,
            max_tokens=most,
            logprobs=True,
        )

    tokens, begins, end = 0, [], 0
    for delta in cut(600).deltas():
        tokens += len(delta.logprobs)
        if delta.kind == "tool_call_begin":
            begins.append(tokens)
        if delta.kind == "tool_call_arguments" and len(begins) == 1:
            end = tokens
    # Its arguments must have begun, or its name could be longer.
    assert 0 < end < begins[1] - len("humidity")
    for most in range(end, begins[1]):
        answer = cut(most)
        kinds = [delta.kind for delta in answer.deltas()]
        assert (kinds.count("tool_call_begin"), kinds.count("tool_call_end")) == (1, 1), most
        assert "text" not in kinds, most
        check_calls(answer.message(), {"temperature", "humidity"})
        assert answer.result.finish_reason == "length"
        assert answer.result.completion_tokens == most


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


def test_a_grammar_that_can_begin_in_endless_ways_is_refused(text):
    """Of a few hundred bytes: each rule is two of the next one, or nothing."""
    rules = "".join(f"r{i} ::= | r{i + 1} r{i + 1}\n" for i in range(40))
    with pytest.raises(errors.InvalidArgumentError, match="in too many ways"):
        text.generate("the", grammar=f'root ::= r0\n{rules}r40 ::= "a"', max_tokens=1).text()


def test_time_runs_out_while_hundreds_of_tools_are_read(text):
    parameters = {
        "type": "object",
        "properties": {
            f"p{i}": {"type": "array", "items": {"enum": [i, "a"]}, "maxItems": i + 2}
            for i in range(40)
        },
    }
    functions = [{"name": f"f{i}", "parameters": parameters} for i in range(512)]
    tools = [{"type": "function", "function": one} for one in functions]
    for more in ({}, {"response_format": ANSWER_FORMAT}):
        with pytest.raises(errors.TimeoutError):
            text.chat(QUESTION, tools=tools, tool_choice="auto", timeout_s=0.05, **more).text()
    assert text.generate("the", max_tokens=1).text() is not None


@pytest.mark.parametrize(
    "repeated",
    [
        '"a"{5,1}',
        "[{,]{ 5 , 1 }",
        '("{1,5}" #{\n){5, # \n 4}',
        # A comment ends with either kind of newline.
        '("a" # b\r"c"{5,1})',
        '("a"{5 #\r,1})',
    ],
)
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


# Overlong forms, surrogates, and beyond the last character: llama.cpp's grammars take them for one.
NOT_UTF8 = (b"\xe0\x85", b"\xf0\x85", b"\xed\xa5", b"\xf4\x95", b"\xf6\x85", b"\xc1\x81")


@pytest.mark.parametrize("likely_bytes", NOT_UTF8)
def test_text_under_a_grammar_is_utf8_and_no_longer_than_its_schema_says(text, likely_bytes):
    schema = {"type": "string", "minLength": 5, "maxLength": 5}
    for limit in ({"json_schema": schema}, {"grammar": 'root ::= "\\"" [^"]{5} "\\""'}):
        answer = text.generate(
            "the",
            temperature=0,
            logit_bias=dict.fromkeys(likely_bytes, 60.0),
            logprobs=True,
            max_tokens=60,
            **limit,
        )
        said = b"".join(one.bytes for delta in answer.deltas() for one in delta.logprobs)
        # Strictly: it fails for what is not UTF-8.
        assert len(said.decode()) == 7
        assert said.decode()[0] == said.decode()[-1] == '"'


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
        for begin in ("<", "{"):
            answer = asked(text, begin)
            if begin == "<":
                check_calls(answer.message(), {"temperature", "humidity"})
            else:
                jsonschema.validate(json.loads(answer.message()["content"]), ANSWER)


def test_the_runner_prints_deltas_as_lines_of_json(template_folder, tmp_path):
    source = (template_folder / "Qwen-Qwen2.5-7B-Instruct.jinja").read_text("utf-8")
    model = random_gguf.write(tmp_path / "model.gguf", chat_template=source)
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    chat = {"messages": QUESTION, "tool_choice": "required", "parallel_tool_calls": False}
    (tmp_path / "chat.json").write_text(json.dumps(chat))
    options = ("--messages", tmp_path / "chat.json", "--tools", tmp_path / "tools.json")
    runner = runtimes.here().runner
    limits = ("--temperature", "0", "--max-tokens", "500")
    done = run([runner, "chat", model, *options, "--deltas", *limits], timeout_s=120)
    *deltas, result = [json.loads(line) for line in done.stdout.splitlines()]
    assert [deltas[0]["kind"], deltas[-1]["kind"]] == ["tool_call_begin", "tool_call_end"]
    assert deltas[0]["name"] == result["tool_calls"][0]["name"]
    written = "".join(delta["text"] for delta in deltas)
    assert written == result["tool_calls"][0]["arguments"]
    assert result["finish_reason"] == "tool_calls"
