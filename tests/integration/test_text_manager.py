"""TextManager with the true native core and a model of random weights."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from sphere_edge import errors, packaging
from sphere_edge.engines.options import PackageOptions
from sphere_edge.run import run
from sphere_edge.runtime.generation import Generation
from sphere_edge.runtime.text import TextManager
from sphere_edge.runtime.vocabulary import Vocabulary
from tests import made_bundles, random_gguf

CHAT = [{"role": "user", "content": "the sky"}]
GREEDY = {"temperature": 0.0, "ignore_end_of_text": True}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_gguf.write(tmp_path_factory.mktemp("model") / "random-llama.gguf")


@pytest.fixture(scope="module")
def opened(model: Path) -> Iterator[TextManager]:
    with TextManager.open(model, threads=2) as text:
        yield text


@pytest.fixture
def text(opened: TextManager) -> TextManager:
    """Open once, as fresh as new."""
    opened.reset()
    return opened


def endless(text: TextManager) -> Generation:
    """An answer that runs until the context is full."""
    return text.generate("the", **GREEDY)


def test_info_describes_what_was_opened(text: TextManager) -> None:
    info = text.info
    assert (info.name, info.engine, info.family) == ("random-llama", "llama", "llama")
    assert (info.threads, info.context_tokens) == (2, 4096)
    assert info.vocab_size == 256 + 2 + len(random_gguf.SPECIAL)
    assert info.has_chat_template
    assert info.weights_bytes > 4 * 64 * info.vocab_size
    assert info.kv_cache_bytes > 0


def test_the_log_has_one_line_for_each_message_whatever_the_model_says(tmp_path: Path) -> None:
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    hostile = "random\x1b[2J\x07\u009b31m\r!"
    path = random_gguf.write(tmp_path / "model.gguf", name=hostile)
    logger, kept = logging.getLogger("sphere_edge"), Kept()
    before = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    try:
        TextManager.open(path).close()
    finally:
        logger.setLevel(before)
        logger.removeHandler(kept)
    named = [line for line in lines if "general.name" in line]
    assert named
    assert all(line.endswith("random [2J  31m !") for line in named)
    assert not any(unicodedata.category(character) == "Cc" for character in "".join(lines))


def test_the_pieces_are_the_answer_and_the_account_is_right(text: TextManager) -> None:
    answer = text.generate("the sky", max_tokens=20, **GREEDY)
    pieces = list(answer)
    assert answer.text() == "".join(pieces)
    result = answer.result
    assert (result.finish_reason, result.completion_tokens) == ("length", 20)
    assert result.prompt_tokens == len(text.tokenize("the sky"))
    assert result.first_token_seconds >= result.prefill_seconds > 0
    assert result.decode_seconds > 0


def test_a_greedy_answer_is_always_the_same(text: TextManager) -> None:
    answers = {text.generate("the sky", max_tokens=30, **GREEDY).text() for _ in range(3)}
    assert len(answers) == 1


def test_a_seed_repeats_an_answer(text: TextManager) -> None:
    sampled = text.generate("the", max_tokens=30, temperature=1.5, ignore_end_of_text=True)
    words = sampled.text()
    options = {"max_tokens": 30, "temperature": 1.5, "ignore_end_of_text": True}
    assert text.generate("the", seed=sampled.result.seed, **options).text() == words
    others = {text.generate("the", seed=seed, **options).text() for seed in range(5)}
    assert len(others) > 1


def test_text_and_its_tokens_are_the_same_prompt(text: TextManager) -> None:
    ids = text.tokenize("the sky")
    words = text.generate("the sky", max_tokens=10, **GREEDY).text()
    assert text.generate(ids, max_tokens=10, **GREEDY).text() == words
    assert text.generate(np.array(ids, np.int64), max_tokens=10, **GREEDY).text() == words


def test_an_answer_ends_before_a_stop_string(text: TextManager) -> None:
    whole = text.generate("the sky", max_tokens=40, **GREEDY).text()
    stop = whole[12:15]
    answer = text.generate("the sky", max_tokens=40, stop=[stop, "never said"], **GREEDY)
    assert answer.text() == whole[: whole.index(stop)]
    assert answer.result.finish_reason == "stop"


def test_a_grammar_is_followed(text: TextManager) -> None:
    answer = text.generate("the", grammar='root ::= "yes" | "no"', seed=3, max_tokens=9)
    assert answer.text() in ("yes", "no")
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}
    output = text.generate("the", json_schema=schema, seed=3, max_tokens=200).text()
    assert output.replace(" ", "").replace("\n", "") in ('{"a":1}', '{"a":2}')


def test_logits_are_those_that_greedy_answers_follow(text: TextManager) -> None:
    ids = text.tokenize("the sky is")
    logits = text.logits(ids)
    assert logits.shape == (len(ids), text.info.vocab_size)
    assert logits.dtype == np.float32
    first = text.generate("the sky is", max_tokens=1, **GREEDY).text()
    assert text.detokenize([int(logits[-1].argmax())]) == first
    # Each row depends on what is before it and on nothing after it.
    assert np.allclose(text.logits(ids[:2]), logits[:2], atol=1e-4)


def test_scores_are_the_logits_as_probabilities(text: TextManager) -> None:
    ids = text.tokenize("the sky is")
    logits = text.logits(ids).astype(np.float64)
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    scores = text.score(ids)
    assert scores.shape == (len(ids) - 1,)
    assert np.allclose(scores, expected[np.arange(len(ids) - 1), ids[1:]], atol=1e-4)


def test_tokens_and_text_are_converted_both_ways(text: TextManager) -> None:
    words = "the théâtre \N{GRINNING FACE} end" * 50
    assert text.detokenize(text.tokenize(words)) == words
    assert text.tokenize("") == []
    assert text.detokenize([]) == ""
    assert text.detokenize(text.tokenize("before\0after")) == "before\0after"
    special = text.tokenize("<|end|>", parse_special=True)
    assert len(special) == 1
    assert len(text.tokenize("<|end|>")) > 1
    assert text.detokenize(special, keep_special=True) == "<|end|>"
    assert text.detokenize(special) == ""


def test_a_chat_goes_through_the_models_template(text: TextManager) -> None:
    assert text.render_chat(CHAT) == "<|user|>the sky<|end|><|assistant|>"
    answer = text.chat(CHAT, max_tokens=5, **GREEDY)
    answer.text()
    prompt = text.tokenize(text.render_chat(CHAT), parse_special=True)
    assert answer.result.prompt_tokens == len(prompt)


def test_the_second_turn_computes_only_what_is_new(text: TextManager) -> None:
    first = text.chat(CHAT, max_tokens=5, **GREEDY)
    reply = first.text()
    assert first.result.cached_tokens == 0
    turns = [*CHAT, {"role": "assistant", "content": reply}, {"role": "user", "content": "more"}]
    second = text.chat(turns, max_tokens=5, **GREEDY)
    again = second.text()
    assert second.result.cached_tokens >= first.result.prompt_tokens
    text.reset()
    third = text.chat(turns, max_tokens=5, **GREEDY)
    assert (third.text(), third.result.cached_tokens) == (again, 0)


def test_another_thread_can_cancel(text: TextManager) -> None:
    answer = endless(text)
    next(answer)
    threading.Thread(target=text.cancel).start()
    answer.text()
    assert answer.result.finish_reason == "cancelled"
    assert 0 < answer.result.completion_tokens < 4000
    after = text.generate("the", max_tokens=3, **GREEDY)
    after.text()
    assert after.result.completion_tokens == 3


def test_leaving_an_answer_frees_the_model(text: TextManager) -> None:
    for _ in endless(text):
        break
    assert text.tokenize("the")
    with endless(text) as answer:
        next(answer)
    assert not answer.is_running
    assert text.tokenize("the")
    kept = endless(text)
    next(kept)
    # A new answer on the same thread takes the place of one that is read no more.
    assert text.generate("the", max_tokens=2, **GREEDY).text()
    assert not kept.is_running


def test_a_model_that_answers_refuses_other_calls(text: TextManager) -> None:
    answer = endless(text)
    next(answer)
    with pytest.raises(errors.InvalidArgumentError, match="busy with another call"):
        text.tokenize("the")
    caught: list[errors.SphereEdgeError] = []

    def elsewhere() -> None:
        try:
            text.generate("the")
        except errors.SphereEdgeError as error:
            caught.append(error)

    other = threading.Thread(target=elsewhere)
    other.start()
    other.join()
    assert [error.code for error in caught] == [errors.Status.INVALID_ARGUMENT]
    assert next(answer)
    answer.close()


def test_a_slow_reader_loses_nothing(text: TextManager) -> None:
    whole = text.generate("the", max_tokens=600, **GREEDY).text()
    answer = text.generate("the", max_tokens=600, **GREEDY)
    # The engine has filled the queue and waits.
    while not answer.task.items.full():
        assert answer.is_running
        time.sleep(0.01)
    assert answer.text() == whole


def test_a_timeout_is_an_error_with_the_account_at_hand(text: TextManager) -> None:
    answer = text.generate("the", timeout_s=0.001, **GREEDY)
    with pytest.raises(errors.TimeoutError):
        answer.text()
    assert answer.result.completion_tokens < 4000


def test_ctrl_c_while_reading_frees_the_model(text: TextManager) -> None:
    answer = endless(text)
    next(answer)
    threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        while True:
            answer.text()
            answer = endless(text)
    answer.close()
    assert text.tokenize("the")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"seed": 1 << 32}, "seed"),
        ({"temperature": -0.5}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"stop": "a string"}, "stop is not a list"),
        ({"stop": [""]}, "stop string"),
        ({"stop": ["a\0b"]}, "NUL"),
        ({"grammar": "root ::= ("}, "grammar"),
        ({"grammar": "root ::= a", "json_schema": "{}"}, "grammar"),
        ({"json_schema": {"type": object()}}, "json_schema"),
        ({"top_q": 3}, "top_q"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": {-1: 1.0}}, "logit_bias"),
        ({"logit_bias": {1 << 30: 1.0}}, "token id"),
        ({"logit_bias": {1: float("nan")}}, "logit_bias"),
        ({"logit_bias": [1, 2]}, "logit_bias"),
        ({"stop_token_ids": ["the"]}, "stop token"),
        ({"frequency_penalty": float("inf")}, "frequency_penalty"),
        ({"xtc_probability": 1.5}, "xtc_probability"),
        ({"dry_multiplier": 1.0, "dry_base": 0.5}, "dry_base"),
        ({"dry_multiplier": 1.0, "dry_sequence_breakers": [""]}, "DRY sequence breaker"),
        ({"sequence_key": "a\0b"}, "sequence_key"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    text: TextManager, options: dict[str, object], words: str
) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=words):
        text.generate("the", **options).text()  # type: ignore[arg-type]


def test_prompts_that_cannot_be_are_refused(text: TextManager) -> None:
    for prompt in ("a\0b", "\ud800", [-1], [1 << 40], [[1]], [0.5], [text.info.vocab_size], []):
        with pytest.raises(errors.InvalidArgumentError):
            text.generate(prompt, max_tokens=1).text()  # type: ignore[arg-type]
    for messages in ([], [{"role": "king", "content": ""}], ["the"], [{"role": "user"}]):
        with pytest.raises(errors.InvalidArgumentError):
            text.chat(messages, max_tokens=1).text()  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidArgumentError):
        text.logits([0] * 5000)
    assert text.logits([0, 1]).shape[0] == 2


def test_the_account_is_not_there_before_the_end(text: TextManager) -> None:
    answer = endless(text)
    with pytest.raises(errors.InvalidArgumentError, match="not ended"):
        _ = answer.result
    answer.close()
    assert answer.result.finish_reason == "cancelled"


def test_closing_twice_is_fine_and_a_closed_model_says_so(model: Path) -> None:
    text = TextManager.open(model, context_tokens=64)
    assert text.info.context_tokens == 64
    answer = text.generate("the", **GREEDY)
    text.close()
    text.close()
    text.cancel()
    assert not answer.is_running
    # What was not read is lost, but reading on does not block.
    assert list(answer) == []
    for call in (lambda: text.tokenize("the"), lambda: text.generate("the"), text.reset):
        with pytest.raises(errors.InvalidArgumentError, match="has been closed"):
            call()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no list of mapped files here")
def test_a_dropped_model_is_freed(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "dropped.gguf"
    copy.write_bytes(model.read_bytes())
    text = TextManager.open(copy, context_tokens=64)
    text.generate("the", max_tokens=2).text()
    assert str(copy) in Path("/proc/self/maps").read_text()
    del text
    gc.collect()
    assert str(copy) not in Path("/proc/self/maps").read_text()


def test_a_vocabulary_needs_no_weights(model: Path) -> None:
    with Vocabulary.open(model) as vocabulary:
        assert vocabulary.detokenize(vocabulary.tokenize("the sky")) == "the sky"
    vocabulary.close()
    with pytest.raises(errors.InvalidArgumentError, match="has been closed"):
        vocabulary.tokenize("the")


def test_files_that_are_no_models_are_refused(tmp_path: Path, model: Path) -> None:
    with pytest.raises(errors.NotFoundError):
        TextManager.open(tmp_path / "absent.gguf")
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"no model at all" * 10)
    with pytest.raises(errors.SphereEdgeError) as caught:
        TextManager.open(wrong)
    assert caught.value.code in (errors.Status.MODEL_CORRUPT, errors.Status.FORMAT_MISMATCH)
    content = model.read_bytes()
    wrong.write_bytes(content[: len(content) // 2])
    with pytest.raises(errors.ModelCorruptError):
        TextManager.open(wrong)


def test_a_program_may_end_in_the_middle_of_an_answer(model: Path) -> None:
    code = (
        "import sys; from sphere_edge import TextManager\n"
        "text = TextManager.open(sys.argv[1])\n"
        "answer = text.generate('the', temperature=0, ignore_end_of_text=True)\n"
        "next(answer); print('ended')\n"
    )
    ended = run([sys.executable, "-c", code, str(model)], timeout_s=120)
    assert (ended.stdout, ended.stderr) == ("ended\n", "")


def test_many_answers_do_not_grow_the_process(text: TextManager) -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    text.generate("the", max_tokens=3, **GREEDY).text()
    before = threads()
    for _ in range(50):
        text.generate("the", max_tokens=3, **GREEDY).text()
    # A thread that has just ended may still be listed.
    assert threads() <= before + 4


def test_an_ending_in_upper_case_is_the_same_model(model: Path, tmp_path: Path) -> None:
    (tmp_path / "RANDOM.GGUF").symlink_to(model)
    with TextManager.open(tmp_path / "RANDOM.GGUF", threads=2) as text:
        assert text.info.name == "RANDOM"


def test_a_context_beyond_the_models_is_refused(model: Path) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="more than the `4096` of the model"):
        TextManager.open(model, context_tokens=4097)
    with TextManager.open(model, context_tokens=4096) as text:
        assert text.info.context_tokens == 4096


def test_a_pipe_is_no_model_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(errors.InvalidArgumentError, match="neither a file nor a folder"):
        TextManager.open(tmp_path / "pipe.gguf")


def test_what_lies_beside_models_is_called_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "style.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(errors.UnsupportedError, match="is a LoRA adapter, not a model"):
        TextManager.open(path)


def aligned(model: Path, path: Path, alignment: int) -> Path:
    """`model` with its tensors at multiples of `alignment` bytes, the first at an odd one."""
    given = gguf.GGUFReader(model)
    for length in range(0, 64, 8):
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_custom_alignment(alignment)
        writer.add_description("x" * length)
        for name, field in given.fields.items():
            if not name.startswith("GGUF.") and name != "general.architecture":
                is_list = field.types[0] == gguf.GGUFValueType.ARRAY
                kind = field.types[-1] if is_list else None
                writer.add_key_value(name, field.contents(), field.types[0], sub_type=kind)
        for tensor in given.tensors:
            writer.add_tensor(tensor.name, tensor.data.copy(), raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        if gguf.GGUFReader(path).data_offset % 32:
            break
    return path


def test_data_that_cannot_be_mapped_end_no_process(model: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedError, match="multiples of 16 bytes"):
        TextManager.open(aligned(model, tmp_path / "a.gguf", 16))
    with pytest.raises(errors.UnsupportedError, match="multiples of 16 bytes"):
        TextManager.open(model, draft_model=tmp_path / "a.gguf")
    with TextManager.open(aligned(model, tmp_path / "b.gguf", 64)) as text:
        assert "".join(text.generate("the", max_tokens=2, **GREEDY))


def test_deltas_have_the_log_probabilities_of_the_model(text: TextManager) -> None:
    prompt = [7, 8, 9]
    stream = text.generate(prompt, **GREEDY, max_tokens=6, top_logprobs=3, repeat_penalty=2.0)
    deltas = list(stream.deltas())
    assert {delta.kind for delta in deltas} == {"text"}
    assert "".join(delta.text for delta in deltas) == stream.text()
    logprobs = [one for delta in deltas for one in delta.logprobs]
    assert len(logprobs) == stream.result.completion_tokens == 6
    sampled = [one.token_id for one in logprobs]
    scored = text.score([*prompt, *sampled])[len(prompt) - 1 :]
    assert np.allclose(scored, [one.logprob for one in logprobs], atol=1e-3)
    rows = text.logits([*prompt, *sampled])[len(prompt) - 1 : -1]
    for row, one in zip(rows, logprobs, strict=True):
        assert [top.token_id for top in one.top_logprobs] == [int(i) for i in np.argsort(-row)[:3]]
    assert stream.result.backend == "cpu"
    without = text.generate(prompt, **GREEDY, max_tokens=6)
    assert all(delta.logprobs == () for delta in without.deltas())


def test_a_bias_forbids_and_forces_tokens(text: TextManager) -> None:
    def tokens(**changes: Any) -> list[int]:
        stream = text.generate("the", **GREEDY, max_tokens=4, logprobs=True, **changes)
        return [one.token_id for delta in stream.deltas() for one in delta.logprobs]

    favourite = tokens()[0]
    assert favourite not in tokens(logit_bias={favourite: -float("inf")})
    assert tokens(logit_bias={42: 1000.0}) == [42] * 4
    assert tokens(logit_bias={42: 1000.0}, presence_penalty=2000.0)[1] != 42
    assert tokens(logit_bias={42: 1000.0}, stop_token_ids=[42]) == []


def test_a_stop_string_says_which_one_it_was(text: TextManager) -> None:
    whole = text.generate("the", **GREEDY, max_tokens=20).text()
    stream = text.generate("the", **GREEDY, max_tokens=20, stop=["\N{SNOWMAN}", whole[4:7]])
    stream.text()
    assert (stream.result.finish_reason, stream.result.stop_index) == ("stop", 1)


def test_a_special_token_stops_as_a_string(text: TextManager) -> None:
    special = text.tokenize("<|user|>", add_special=False, parse_special=True)
    assert len(special) == 1
    forced = text.generate(
        "the", temperature=0.0, max_tokens=5, logit_bias={special[0]: 1000.0}, stop=["<|user|>"]
    )
    assert (forced.text(), forced.result.finish_reason) == ("", "stop")


def test_a_saved_conversation_goes_on_with_the_same_model_only(
    text: TextManager, model: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    answer = text.chat(CHAT, temperature=0.0, max_tokens=5).text()
    assert text.save(saved) >= 10
    more = [*CHAT, {"role": "assistant", "content": answer}, {"role": "user", "content": "sea"}]
    stream = text.chat(more, **GREEDY, max_tokens=5)
    goes_on, cached = stream.text(), stream.result.cached_tokens
    with TextManager.open(model, threads=2) as other:
        assert other.restore(saved) >= 10
        again = other.chat(more, **GREEDY, max_tokens=5)
        assert again.text() == goes_on
        assert again.result.cached_tokens == cached > 0
    another = random_gguf.write(tmp_path / "another.gguf", name="another")
    with (
        TextManager.open(another) as other,
        pytest.raises(errors.FormatMismatchError, match="another model"),
    ):
        other.restore(saved)
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    with pytest.raises(errors.ModelCorruptError, match="damaged"):
        text.restore(saved)
    with pytest.raises(errors.ModelCorruptError, match="not a saved conversation"):
        text.restore(model)
    with pytest.raises(errors.NotFoundError):
        text.save(saved, sequence_key="nobody")


@pytest.mark.parametrize("kind", ["gguf", "compiled"])
def test_each_of_several_conversations_is_saved_by_its_key(
    model: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "compiled":
        quantization = PackageOptions(quantization="q4")
        model = made_bundles.made(packaging.TINY, options=quantization).folder
    options: dict[str, Any] = {**GREEDY, "max_tokens": 6}
    prompts = {"one": "the sky over the sea", "two": "another text"}
    with TextManager.open(model, threads=2, sequences=3) as several:
        for key, prompt in prompts.items():
            several.generate(prompt, sequence_key=key, **options).text()
        counts = {key: several.save(tmp_path / key, sequence_key=key) for key in prompts}
    for sequences in (1, 2):
        with TextManager.open(model, threads=2, sequences=sequences) as other:
            for key, prompt in prompts.items():
                alone = other.generate(prompt, **options)
                expected = alone.text()
                other.reset()
                assert other.restore(tmp_path / key, sequence_key=key) == counts[key]
                again = other.generate(prompt, sequence_key=key, **options)
                assert again.text() == expected
                assert again.result.cached_tokens == again.result.prompt_tokens - 1
