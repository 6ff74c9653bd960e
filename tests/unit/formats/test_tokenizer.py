"""Tokenizers of every kind become a GGUF that says what they said; what cannot is named."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import gguf
import pytest
from tokenizers import Tokenizer

from sphere_edge.errors import (
    ModelCorruptError,
    NotFoundError,
    SphereEdgeError,
    StorageError,
    UnsupportedError,
)
from sphere_edge.formats import chat_template, pre_tokenizers, sentencepiece, tokenizer
from sphere_edge.formats import tokenizer_probe as probe
from sphere_edge.formats.tokenizer import compare, write_vocabulary
from tests import trained_tokenizers as trained


def written(folder: Path, template: str | None = None) -> tuple[tokenizer.Vocabulary, Any]:
    vocabulary = write_vocabulary(folder, folder / "tokenizer.gguf", template)
    fields = gguf.GGUFReader(folder / "tokenizer.gguf").fields
    return vocabulary, {name: field.contents() for name, field in fields.items()}


def edit(folder: Path, **changes: Any) -> None:
    """Changes parts of the tokenizer.json in `folder`; `model__x` changes model.x."""
    path = folder / "tokenizer.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        part, _, key = name.rpartition("__")
        (values[part] if part else values)[key] = value
    path.write_text(json.dumps(values), encoding="utf-8")


def refused(folder: Path, kind: type[SphereEdgeError], says: str) -> None:
    with pytest.raises(kind) as caught:
        write_vocabulary(folder, folder / "tokenizer.gguf")
    assert says in caught.value.message
    assert not list(folder.glob("tokenizer.gguf*"))


LLAMA_CPP = {
    *("llama-bpe", "smaug-bpe", "glm4", "chatglm-bpe"),
    *pre_tokenizers.KNOWN.values(),
}


@pytest.mark.parametrize("name", trained.BYTE_LEVEL)
def test_the_pre_tokenizer_is_known_by_its_structure(tmp_path: Path, name: str) -> None:
    vocabulary, fields = written(trained.write_byte_level(tmp_path, name))
    known = name in LLAMA_CPP
    assert vocabulary.pre == fields["tokenizer.ggml.pre"] == (name if known else "whitespace")
    assert ("sphere_edge.split" in fields) is not known
    assert fields["tokenizer.ggml.model"] == "gpt2"
    assert fields["general.architecture"] == "llama"
    tokens = fields["tokenizer.ggml.tokens"]
    assert len(tokens) == vocabulary.size == len(set(tokens))
    stored = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert fields["tokenizer.ggml.merges"] == [" ".join(m) for m in stored["model"]["merges"]]


def test_tokens_have_their_types(tmp_path: Path) -> None:
    vocabulary, fields = written(trained.write_byte_level(tmp_path, "llama-bpe"))
    kinds = dict(
        zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"], strict=True)
    )
    assert kinds["<|im_end|>"] == sentencepiece.CONTROL
    assert kinds["<tool>"] == sentencepiece.USER_DEFINED
    assert kinds["e"] == sentencepiece.NORMAL
    tokens = fields["tokenizer.ggml.tokens"]
    assert tokens[fields["tokenizer.ggml.bos_token_id"]] == "<|begin|>"
    assert tokens[fields["tokenizer.ggml.eos_token_id"]] == "<|im_end|>"
    assert tokens[fields["tokenizer.ggml.padding_token_id"]] == "<|endoftext|>"
    assert fields["tokenizer.ggml.add_bos_token"] is False
    assert vocabulary.eos == fields["tokenizer.ggml.eos_token_id"]


def test_every_end_of_generation_is_kept(tmp_path: Path) -> None:
    trained.write_byte_level(tmp_path, "llama-bpe")
    ids = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).get_vocab()
    ends = [ids["<|im_start|>"], ids["<|im_end|>"], ids["<|endoftext|>"]]
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    vocabulary, fields = written(tmp_path)
    # The tokenizer's own comes first.
    assert vocabulary.end_of_generation == (ends[1], ends[0], ends[2])
    roles = [fields[f"tokenizer.ggml.{role}_token_id"] for role in ("eos", "eot", "eom")]
    assert roles == [ends[1], ends[0], ends[2]]


def test_the_post_processor_says_whether_bos_is_added(tmp_path: Path) -> None:
    trained.write_byte_level(tmp_path, "llama-bpe")
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
        "pair": [],
        "special_tokens": {},
    }
    edit(tmp_path, post_processor={"type": "Sequence", "processors": [template]})
    assert written(tmp_path)[1]["tokenizer.ggml.add_bos_token"] is True
    trained.write_byte_level(tmp_path, "llama-bpe", add_bos_token=False)
    edit(tmp_path, post_processor=template)
    assert written(tmp_path)[1]["tokenizer.ggml.add_bos_token"] is False


def test_the_end_of_a_text_is_never_added(tmp_path: Path) -> None:
    """Left over from training, it would stand between a question and its answer."""
    trained.write_byte_level(tmp_path, "llama-bpe", add_eos_token=True)
    assert written(tmp_path)[1]["tokenizer.ggml.add_eos_token"] is False
    trained.write_byte_level(tmp_path, "llama-bpe")
    edit(tmp_path, post_processor=around(["<|begin|>"], ["<|im_end|>"]))
    fields = written(tmp_path)[1]
    assert fields["tokenizer.ggml.add_eos_token"] is False
    assert fields["tokenizer.ggml.add_bos_token"] is True


def around(before: list[str], after: list[str]) -> dict[str, Any]:
    """A post-processor that puts special tokens around a text."""
    special = [{"SpecialToken": {"id": text, "type_id": 0}} for text in before]
    ends = [{"SpecialToken": {"id": text, "type_id": 0}} for text in after]
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    known = json.loads(trained.byte_level_json("llama-bpe"))["added_tokens"]
    ids = {item["content"]: item["id"] for item in known}
    return {
        "type": "TemplateProcessing",
        "single": [*special, sequence, *ends],
        "pair": [sequence, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            text: {"id": text, "ids": [ids[text]], "tokens": [text]} for text in (*before, *after)
        },
    }


@pytest.mark.parametrize(
    ("before", "after", "is_ours"),
    [
        ([], [], True),
        (["<|begin|>"], [], True),
        (["<|begin|>"], ["<|im_end|>"], True),
        (["<|endoftext|>"], [], False),
        (["<|endoftext|>", "<|im_start|>"], [], False),
        (["<|begin|>", "<|begin|>"], [], False),
        ([], ["<|im_start|>"], False),
    ],
)
def test_what_is_put_around_a_text_is_compared_too(
    tmp_path: Path, before: list[str], after: list[str], is_ours: bool
) -> None:
    trained.write_byte_level(tmp_path, "llama-bpe")
    edit(tmp_path, post_processor=around(before, after))
    vocabulary, _ = written(tmp_path)
    own = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))

    def plain(text: str) -> list[int]:
        return list(own.encode(text, add_special_tokens=False).ids)

    def as_llama_cpp(text: str) -> list[int]:
        bos = [vocabulary.bos] if vocabulary.adds_bos and vocabulary.bos is not None else []
        return [*bos, *plain(text)]

    found = compare(tmp_path, plain, as_llama_cpp)
    assert [mismatch.is_around for mismatch in found] == ([] if is_ours else [True])
    for mismatch in found:
        assert mismatch.expected == own.encode(mismatch.sample).ids


def test_tokens_beside_a_tokenizer_json_are_its_tokens_too(tmp_path: Path) -> None:
    trained.write_byte_level(tmp_path, "llama-bpe")
    size = write_vocabulary(tmp_path, tmp_path / "small.gguf").size
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|user|>": size, "e": 99999}))
    decoder = {str(size + 1): {"content": "<|tool|>", "special": True, "normalized": False}}
    trained.write_byte_level(tmp_path, "llama-bpe", added_tokens_decoder=decoder)
    _, fields = written(tmp_path)
    assert fields["tokenizer.ggml.tokens"][size:] == ["<|user|>", "<|tool|>"]
    kinds = [sentencepiece.USER_DEFINED, sentencepiece.CONTROL]
    assert fields["tokenizer.ggml.token_type"][size:] == kinds
    own = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    found = compare(tmp_path, lambda text: own.encode(text, add_special_tokens=False).ids)
    # Without the tokens beside it, it splits them into letters.
    assert found
    assert all("<|user|>" in one.sample or "<|tool|>" in one.sample for one in found)


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ({"<|user|>": 5}, "has the id of another token"),
        ({"<|user|>": "x"}, "has the id `x`"),
        ({"<|user|>": -1}, "has the id `-1`"),
        ({"": 5000}, "has the id"),
        ({"<|a|>": 5000, "<|b|>": 5000}, "both are `5000`"),
    ],
)
def test_added_tokens_that_contradict_are_refused(
    tmp_path: Path, added: dict[str, Any], says: str
) -> None:
    trained.write_byte_level(tmp_path, "llama-bpe")
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    refused(tmp_path, ModelCorruptError, says)


def test_tokens_beside_a_sentencepiece_model_are_its_tokens_too(tmp_path: Path) -> None:
    pieces = trained.sentencepiece_vocabulary()
    (tmp_path / "tokenizer.model").write_bytes(trained.sentencepiece_model(pieces, prefix=False))
    size = len(pieces)
    decoder = {
        "1": {"content": "<s>", "special": True},
        str(size): {"content": "<|user|>", "special": True, "normalized": False},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|user|>": size, "<|x|>": size + 2}))
    vocabulary, fields = written(tmp_path)
    assert vocabulary.size == size + 3
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    assert (tokens[size], tokens[size + 2]) == ("<|user|>", "<|x|>")
    assert kinds[size:] == [
        *(sentencepiece.CONTROL, sentencepiece.UNUSED, sentencepiece.USER_DEFINED)
    ]
    assert kinds[:size] == [kind for _, _, kind in pieces]
    found = compare(tmp_path, lambda _: [])
    expected = {one.sample: one.expected for one in found}
    assert any("<|user|>" in line and size in ids for line, ids in expected.items())
    assert any("<|x|>" in line and size + 2 in ids for line, ids in expected.items())


def test_a_larger_embedding_gets_unused_tokens(tmp_path: Path) -> None:
    trained.write_byte_level(tmp_path, "gpt-2")
    size = write_vocabulary(tmp_path, tmp_path / "small.gguf").size
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": size + 7}))
    vocabulary, fields = written(tmp_path)
    assert vocabulary.size == len(fields["tokenizer.ggml.tokens"]) == size + 7
    assert fields["tokenizer.ggml.token_type"][size:] == [sentencepiece.UNUSED] * 7


@pytest.mark.parametrize("size", [-1, "many", 10**12])
def test_an_absurd_vocabulary_size_is_refused(tmp_path: Path, size: Any) -> None:
    trained.write_byte_level(tmp_path, "gpt-2")
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": size}))
    refused(tmp_path, ModelCorruptError, "voca")


def test_the_chat_template_is_found_wherever_it_is(tmp_path: Path) -> None:
    trained.write_byte_level(tmp_path, "gpt-2")
    assert written(tmp_path)[1]["tokenizer.chat_template"] == trained.CHAT_TEMPLATE
    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "usual"}]
    trained.write_byte_level(tmp_path, "gpt-2", chat_template=named)
    assert written(tmp_path)[1]["tokenizer.chat_template"] == "usual"
    (tmp_path / "chat_template.jinja").write_text("own file")
    assert written(tmp_path)[1]["tokenizer.chat_template"] == "own file"
    vocabulary, fields = written(tmp_path, "the user's")
    assert vocabulary.has_chat_template
    assert fields["tokenizer.chat_template"] == "the user's"


@pytest.mark.parametrize("value", [7, ["x"], [{"name": "default"}], {"default": "x"}])
def test_a_chat_template_that_is_none_is_refused(tmp_path: Path, value: Any) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": value}))
    with pytest.raises(ModelCorruptError, match="`chat_template` in tokenizer_config.json"):
        chat_template.read(tmp_path)


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}


def test_an_unknown_split_is_named(tmp_path: Path) -> None:
    trained.write_byte_level(tmp_path, "qwen2")
    odd = {"type": "CharDelimiterSplit", "delimiter": "x"}
    edit(
        tmp_path, pre_tokenizer={"type": "Sequence", "pretokenizers": [odd, {"type": "ByteLevel"}]}
    )
    refused(tmp_path, UnsupportedError, "CharDelimiterSplit {'delimiter': 'x'}, then gpt2")
    merged = {"type": "Split", "pattern": {"Regex": "x"}, "behavior": "MergedWithNext"}
    edit(tmp_path, pre_tokenizer={"type": "Sequence", "pretokenizers": [merged, BYTES]})
    refused(tmp_path, UnsupportedError, "MergedWithNext")
    digits = {"type": "Digits", "individual_digits": True}
    edit(tmp_path, pre_tokenizer={"type": "Sequence", "pretokenizers": [BYTES, digits]})
    refused(tmp_path, UnsupportedError, "bytes, then digit")
    edit(tmp_path, pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True})
    refused(tmp_path, UnsupportedError, "add_prefix_space")


def test_keeping_matches_is_the_same_as_cutting_around_them() -> None:
    split = {"type": "Split", "pattern": {"Regex": pre_tokenizers.QWEN2}}
    kept = {**split, "behavior": "Removed", "invert": True}
    plain = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    sequence = {"type": "Sequence", "pretokenizers": [kept, plain]}
    assert pre_tokenizers.splitting(sequence, ignores_merges=False, has_bos=False).name == "qwen2"


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (
            {"model": {"type": "WordPiece", "vocab": {}}},
            UnsupportedError,
            "of the kind `WordPiece`",
        ),
        ({"model": {"type": "Unigram", "vocab": []}}, UnsupportedError, "of the kind `Unigram`"),
        ({"model": 7}, UnsupportedError, "of the kind `7`"),
        ({"model__dropout": 0.1}, UnsupportedError, "`dropout`"),
        ({"model__end_of_word_suffix": "</w>"}, UnsupportedError, "`end_of_word_suffix`"),
        ({"model__vocab": {}}, ModelCorruptError, "no vocabulary"),
        ({"model__vocab": {"a": 0, "b": 0}}, ModelCorruptError, "share an id"),
        ({"model__vocab": {"a": -1}}, ModelCorruptError, "has the id `-1`"),
        ({"model__vocab": {"a": 10**9}}, ModelCorruptError, "has the id `1000000000`"),
        ({"model__merges": ["a zz"]}, ModelCorruptError, "merge `a zz`"),
        ({"model__merges": [7]}, ModelCorruptError, "merge `7`"),
        (
            {"added_tokens": [{"id": 5, "content": "e"}]},
            ModelCorruptError,
            "token `e` of tokenizer.json has two ids",
        ),
        ({"added_tokens": [{"id": 5}]}, ModelCorruptError, "has no content"),
        ({"added_tokens": [7]}, ModelCorruptError, "has no content"),
        ({"normalizer": {"type": "Lowercase"}}, UnsupportedError, "Lowercase"),
        ({"normalizer": 7}, ModelCorruptError, "is not an object"),
        ({"pre_tokenizer": 7}, ModelCorruptError, "is not an object"),
        ({"pre_tokenizer": {"type": "Sequence"}}, ModelCorruptError, "has no list"),
        ({"pre_tokenizer": None}, UnsupportedError, "neither byte-level nor"),
    ],
)
def test_what_cannot_be_converted_is_named(
    tmp_path: Path, change: dict[str, Any], kind: Any, says: str
) -> None:
    trained.write_byte_level(tmp_path, "gpt-2")
    edit(tmp_path, **change)
    refused(tmp_path, kind, says)


def test_a_special_token_must_be_in_the_vocabulary(tmp_path: Path) -> None:
    trained.write_byte_level(tmp_path, "gpt-2", eos_token="<|nowhere|>")
    refused(tmp_path, ModelCorruptError, "the eos_token `<|nowhere|>` is not in the vocabulary")
    trained.write_byte_level(tmp_path, "gpt-2", eos_token=["<|im_end|>"])
    refused(tmp_path, ModelCorruptError, "the eos_token `['<|im_end|>']`")
    trained.write_byte_level(tmp_path, "gpt-2", pad_token="[PAD]", unk_token=["odd"])
    assert write_vocabulary(tmp_path, tmp_path / "t.gguf").eos is not None


def test_a_folder_without_a_tokenizer_says_so(tmp_path: Path) -> None:
    refused(tmp_path, NotFoundError, "has no tokenizer (tokenizer.json or tokenizer.model)")


def test_an_unwritable_place_is_a_storage_error(tmp_path: Path) -> None:
    trained.write_byte_level(tmp_path, "gpt-2")
    with pytest.raises(StorageError, match="cannot be written"):
        write_vocabulary(tmp_path, tmp_path / "nowhere" / "t.gguf")


@pytest.mark.parametrize(
    ("prefix", "metaspace"),
    [(True, None), (False, None), (False, "never"), (True, "always"), (False, "first")],
)
def test_sentencepiece_scores_are_the_order_of_merges(
    tmp_path: Path, prefix: bool, metaspace: str | None
) -> None:
    trained.write_sentencepiece(tmp_path, prefix=prefix, metaspace=metaspace)
    vocabulary, fields = written(tmp_path)
    assert vocabulary.kind == fields["tokenizer.ggml.model"] == "llama"
    assert fields["tokenizer.ggml.add_space_prefix"] is prefix
    assert fields.get("sphere_edge.space_prefix") == ("first" if metaspace == "first" else None)
    assert fields["tokenizer.ggml.add_bos_token"] is True
    merges = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))["model"][
        "merges"
    ]
    tokens = fields["tokenizer.ggml.tokens"]
    scores = dict(zip(tokens, fields["tokenizer.ggml.scores"], strict=True))
    made = ["".join(pair) for pair in merges]
    assert [scores[token] for token in made[:3]] == [-float(made.index(t)) for t in made[:3]]
    kinds = dict(zip(tokens, fields["tokenizer.ggml.token_type"], strict=True))
    assert (kinds["<unk>"], kinds["<s>"], kinds["<0x0A>"]) == (2, 3, 6)


def test_special_tokens_that_swallow_whitespace_are_marked(tmp_path: Path) -> None:
    trained.write_sentencepiece(tmp_path, prefix=True, like_phi3=True)
    assert written(tmp_path)[1]["general.name"] == "phi-3"
    trained.write_sentencepiece(tmp_path, prefix=True)
    assert "general.name" not in written(tmp_path)[1]


def test_a_sentencepiece_model_is_read_without_tokenizer_json(tmp_path: Path) -> None:
    pieces = trained.sentencepiece_vocabulary()
    (tmp_path / "tokenizer.model").write_bytes(trained.sentencepiece_model(pieces, prefix=False))
    vocabulary, fields = written(tmp_path)
    assert fields["tokenizer.ggml.tokens"] == [text for text, _, _ in pieces]
    assert fields["tokenizer.ggml.scores"] == [score for _, score, _ in pieces]
    assert fields["tokenizer.ggml.token_type"] == [kind for _, _, kind in pieces]
    assert fields["tokenizer.ggml.add_space_prefix"] is False
    assert fields["tokenizer.ggml.add_bos_token"] is True
    assert (vocabulary.bos, vocabulary.eos, vocabulary.end_of_generation) == (1, 2, (2,))


@pytest.mark.parametrize(
    ("options", "says"),
    [({"kind": 1}, "of another kind than BPE"), ({"extra": 1}, "normalizes text")],
)
def test_other_sentencepiece_models_are_unsupported(
    tmp_path: Path, options: dict[str, int], says: str
) -> None:
    data = trained.sentencepiece_model(trained.sentencepiece_vocabulary()[:300], **options)
    (tmp_path / "tokenizer.model").write_bytes(data)
    refused(tmp_path, UnsupportedError, says)


def test_no_damage_to_a_sentencepiece_model_gets_out(tmp_path: Path) -> None:
    chance = random.Random(5)
    path = tmp_path / "tokenizer.model"
    sound = trained.sentencepiece_model(trained.sentencepiece_vocabulary()[:40])
    for _ in range(120):
        damaged = bytearray(sound)
        damaged[chance.randrange(len(sound))] = chance.randrange(256)
        path.write_bytes(damaged[: chance.randint(0, len(sound))])
        try:
            model = sentencepiece.read(path)
        except SphereEdgeError:
            continue
        assert max(model.bos_id, model.eos_id, model.unknown_id) < len(model.pieces)


def test_a_tokenizer_agrees_with_itself_and_not_with_another(tmp_path: Path) -> None:
    trained.write_byte_level(tmp_path, "llama-bpe")
    own = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert compare(tmp_path, lambda text: own.encode(text, add_special_tokens=False).ids) == []
    other = Tokenizer.from_str(trained.byte_level_json("qwen2"))
    found = compare(tmp_path, lambda text: other.encode(text, add_special_tokens=False).ids)
    assert len(found) > 1000
    assert found[0].expected != found[0].got
    assert own.encode(found[0].sample, add_special_tokens=False).ids == found[0].expected


def test_a_tokenizer_the_library_refuses_is_damaged(tmp_path: Path) -> None:
    trained.write_byte_level(tmp_path, "llama-bpe")
    edit(tmp_path, decoder={"type": "Nonsense"})
    with pytest.raises(ModelCorruptError, match="is not understood by the `tokenizers` library"):
        compare(tmp_path, lambda _: [])


def test_the_probe_text_is_long_wide_and_always_the_same() -> None:
    lines = probe.lines(["<|im_start|>", "<|im_end|>"])
    assert lines == probe.lines(["<|im_start|>", "<|im_end|>"])
    assert len(set(lines)) >= 2000
    text = "".join(lines)
    for sample in (
        "\r\n",
        "\t",
        "\u200d",
        "日",
        "ك",
        "ह",
        "🙂",
        "<|im_start|>",
        "0" * 2,
        "\u3000",
    ):
        assert sample in text
    assert all("\0" not in line for line in lines)
