"""POST /v1/chat/completions, asked by openai-python."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai import OpenAI

SKY = [{"role": "user", "content": "What colour is the sky?"}]
GREEDY: dict[str, Any] = {"model": "tiny", "messages": SKY, "temperature": 0.0}


def refused(client: OpenAI, **fields: Any) -> dict[str, Any]:
    """The body of the 400 that the request is answered with."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{**GREEDY, **fields})
    assert isinstance(caught.value.body, dict)
    return caught.value.body


def test_an_answer_has_its_text_and_its_figures(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(**GREEDY)
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", "tiny")
    (choice,) = answer.choices
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert choice.message.content == "The sky is blue."
    assert answer.usage is not None
    used = answer.usage
    assert used.total_tokens == used.prompt_tokens + used.completion_tokens
    assert used.completion_tokens > 1


def test_a_stream_is_the_same_answer_with_the_role_once(openai: OpenAI) -> None:
    stream = openai.chat.completions.create(
        **GREEDY, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    deltas = [chunk.choices[0].delta for chunk in chunks[:-1]]
    assert "".join(delta.content or "" for delta in deltas) == "The sky is blue."
    assert [delta.role for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    assert [chunk.choices[0].finish_reason for chunk in chunks[-3:-1]] == [None, "stop"]
    assert chunks[-1].choices == []
    assert [chunk.usage is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert len({chunk.id for chunk in chunks}) == 1


def test_max_tokens_end_an_answer_by_length(openai: OpenAI) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = openai.chat.completions.create(**GREEDY, **{name: 2})  # type: ignore[call-overload]
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage.completion_tokens == 2


def test_stops_end_an_answer_before_them(openai: OpenAI) -> None:
    for stop in (" blue", [" blue", "never"]):
        answer = openai.chat.completions.create(**GREEDY, stop=stop)
        assert answer.choices[0].message.content == "The sky is"


def test_several_choices_have_seeds_of_their_own(openai: OpenAI) -> None:
    fields = {**GREEDY, "model": "random", "temperature": 2.0, "seed": 7, "n": 3, "max_tokens": 12}
    first, second = (openai.chat.completions.create(**fields) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in second.choices]
    assert [choice.index for choice in first.choices] == [0, 1, 2]
    assert len(set(texts)) > 1


def test_a_prediction_changes_the_figures_and_not_the_answer(openai: OpenAI) -> None:
    fields = {**GREEDY, "model": "random", "max_tokens": 40, "seed": 7}
    plain = openai.chat.completions.create(**fields)
    said = plain.choices[0].message.content
    for content in (said, [{"type": "text", "text": said}]):
        answer = openai.chat.completions.create(
            **fields, prediction={"type": "content", "content": content}
        )
        assert answer.choices[0].message.content == said
        assert answer.usage is not None
        used = answer.usage.completion_tokens_details
        assert used is not None
        # How many are drafted is judged by a clock.
        assert used.accepted_prediction_tokens is not None
        assert used.rejected_prediction_tokens is not None
        assert used.accepted_prediction_tokens + used.rejected_prediction_tokens > 0
    assert refused(openai, prediction={"type": "content"})["param"].startswith("prediction")


def test_a_schema_is_followed(openai: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["blue", "red"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "colour", "schema": schema}}
    answer = openai.chat.completions.create(**GREEDY, response_format=form)  # type: ignore[call-overload]
    assert json.loads(answer.choices[0].message.content)["colour"] in ("blue", "red")


def test_what_is_wrong_is_named(openai: OpenAI) -> None:
    error = refused(openai, temperature=3)
    assert (error["param"], error["type"]) == ("temperature", "invalid_request_error")
    assert (error["code"], error["status"]) == ("invalid_value", "INVALID_ARGUMENT")
    assert refused(openai, messages=[])["param"] == "messages"
    assert refused(openai, messages=[{"role": "user"}])["param"] == "messages[0].content"
    assert refused(openai, messages=[{"role": "you", "content": ""}])["param"] == (
        "messages[0].role"
    )
    assert refused(openai, n=9)["param"] == "n"
    assert refused(openai, stop=[""])["param"] == "stop[0]"
    assert refused(openai, stream_options={"include_usage": True})["param"] == "stream_options"


def test_what_is_not_done_is_refused_by_name(openai: OpenAI) -> None:
    error = refused(openai, verbosity="low")
    assert (error["param"], error["code"]) == ("verbosity", "unsupported_parameter")
    image = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/secret.png"}}
    error = refused(openai, messages=[{"role": "user", "content": [image]}])
    assert error["param"] == "messages[0].content[0].image_url.url"
    assert "nothing is fetched" in error["message"]


def test_an_unknown_field_is_refused(openai: OpenAI) -> None:
    error = refused(openai, extra_body={"temperatur": 1})
    assert (error["param"], error["code"]) == ("temperatur", "unknown_parameter")


def test_extensions_need_their_flag(openai: OpenAI) -> None:
    error = refused(openai, extra_body={"grammar": 'root ::= "a"'})
    assert (error["param"], error["code"]) == ("grammar", "unsupported_parameter")
    assert "--allow-extensions" in error["message"]


def test_another_model_never_answers_instead(openai: OpenAI) -> None:
    import openai as package

    for name in ("gpt-4o", "/etc/passwd", "../tiny"):
        with pytest.raises(package.NotFoundError) as caught:
            openai.chat.completions.create(**{**GREEDY, "model": name})
        assert caught.value.code == "model_not_found"
    assert refused(openai, model="tiny-whisper")["code"] == "wrong_model_task"


def test_a_prompt_that_is_too_long_says_so(openai: OpenAI) -> None:
    error = refused(openai, messages=[{"role": "user", "content": "sky " * 5000}])
    assert error["code"] == "context_length_exceeded"
    stream = {"messages": [{"role": "user", "content": "sky " * 5000}], "stream": True}
    assert refused(openai, **stream)["code"] == "context_length_exceeded"


def test_log_probabilities_are_those_of_the_tokens(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(**GREEDY, logprobs=True, top_logprobs=3)
    (choice,) = answer.choices
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert b"".join(bytes(token.bytes or []) for token in tokens).decode() == "The sky is blue."
    assert all(len(token.top_logprobs) == 3 for token in tokens)
    assert all(token.logprob == token.top_logprobs[0].logprob <= 0 for token in tokens)
    chunks = list(openai.chat.completions.create(**GREEDY, logprobs=True, stream=True))
    streamed = [chunk.choices[0].logprobs for chunk in chunks]
    assert [t.token for one in streamed if one for t in one.content or []] == [
        token.token for token in tokens
    ]
    assert refused(openai, top_logprobs=3)["param"] == "top_logprobs"


def test_a_bias_forbids_a_token(openai: OpenAI) -> None:
    biases = {str(number): -100 for number in range(300, 1000)}
    answer = openai.chat.completions.create(**GREEDY, logit_bias=biases)
    assert answer.choices[0].message.content != "The sky is blue."
    assert refused(openai, logit_bias={"blue": 1})["param"] == "logit_bias.blue"
    assert refused(openai, logit_bias={"2048": 1})["param"] == "logit_bias"
    assert refused(openai, presence_penalty=3)["param"] == "presence_penalty"


def test_what_the_engine_refuses_is_named_too(openai: OpenAI) -> None:
    strange = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "strange"}}}
    assert refused(openai, response_format=strange)["param"] == "response_format"
    function = {"name": "x", "parameters": {"type": "strange"}}
    assert refused(openai, tools=[{"type": "function", "function": function}])["param"] == "tools"
    import openai as package

    with pytest.raises(package.BadRequestError) as caught:
        openai.completions.create(model="tiny", prompt=[1, 2, 2048])
    assert caught.value.param == "prompt"


def test_texts_and_tokens_are_continued(openai: OpenAI) -> None:
    fields: dict[str, Any] = {"model": "random", "temperature": 0.0, "max_tokens": 6}
    made = openai.completions.create(**fields, prompt=["the", "a"], n=2)
    alone = [openai.completions.create(**fields, prompt=one) for one in ("the", "a")]
    assert made.usage is not None
    assert made.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in alone if one.usage)
    assert [choice.index for choice in made.choices] == [0, 1, 2, 3]
    assert made.choices[0].text == made.choices[1].text
    echoed = openai.completions.create(**fields, prompt="the", echo=True, logprobs=2)
    assert echoed.choices[0].text == "the" + made.choices[0].text
    known = echoed.choices[0].logprobs
    assert known is not None
    assert len(known.tokens or []) == 6
    assert all(len(top) == 2 for top in known.top_logprobs or [])
    more = {"echo": True, "logprobs": 2, "stream": True}
    offsets, said = [], ""
    for chunk in openai.completions.create(**fields, prompt="the", **more):
        found = chunk.choices[0].logprobs
        offsets += found.text_offset
        said += "".join(found.tokens)
    assert offsets == list(range(3, 3 + len(said)))
    chunks = list(openai.completions.create(**fields, prompt="the", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == made.choices[0].text
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "length"
    ids = openai.completions.create(**fields, prompt=[5, 6, 7])
    assert ids.usage is not None
    assert ids.usage.prompt_tokens == 3
