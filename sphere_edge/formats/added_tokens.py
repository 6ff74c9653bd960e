"""Tokens that a folder adds beside its tokenizer: added_tokens.json and tokenizer_config.json.

As transformers reads both (tokenization_utils_base.py, `_from_pretrained`): the first has ids, the
second's `added_tokens_decoder` has what is to be known of each token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sphere_edge import whole_number
from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats import json_object

_IDS, _DECODER = "added_tokens.json", "added_tokens_decoder"
_FLAGS = ("lstrip", "rstrip", "single_word", "normalized")
_LIMIT_BYTES = 64 * 1024 * 1024
_MOST_ID = 1_000_000
_MOST_HOLES = 1000


def read(folder: Path) -> list[dict[str, Any]]:
    """The tokens in order of their ids, each with `id`, `content`, `special` and its flags.

    Raises ModelCorruptError for one without text or id, or with two.
    """
    config = _optional(folder / "tokenizer_config.json")
    special = _named_special(folder, config)
    decoder = config.get(_DECODER)
    listed = [
        _checked(item.get("content"), _id(key), item, special)
        for key, value in (decoder.items() if isinstance(decoder, dict) else ())
        for item in (value if isinstance(value, dict) else {"content": value},)
    ]
    # The decoder comes first: it says more.
    more = _optional(folder / _IDS).items()
    listed += [_checked(content, number, {}, special) for content, number in more]
    found: dict[int, dict[str, Any]] = {}
    for one in listed:
        other = found.setdefault(one["id"], one)
        if other["content"] != one["content"]:
            message = (
                f"`{other['content'][:80]}` and `{one['content'][:80]}` both are `{one['id']}`"
            )
            raise ModelCorruptError(message)
    return [found[number] for number in sorted(found)]


def lacking(folder: Path, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of `read` that the tokenizer.json `values` does not have.

    Raises ModelCorruptError for one whose id is another token's there.
    """
    model, listed = values.get("model"), values.get("added_tokens")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    known = dict(vocabulary) if isinstance(vocabulary, dict) else {}
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, dict) and isinstance(item.get("content"), str):
            known[item["content"]] = item.get("id")
    more = [item for item in read(folder) if item["content"] not in known]
    taken = {number for number in known.values() if isinstance(number, int)} if more else set()
    for item in more:
        if item["id"] in taken:
            message = f"the added token `{item['content'][:80]}` has the id of another token"
            raise ModelCorruptError(message, hint="the tokenizer's files do not belong together")
    return more


def add_to(reference: Any, items: Iterable[Mapping[str, Any]]) -> None:
    """Gives the tokens to a `tokenizers.Tokenizer`; raises ModelCorruptError for another id."""
    from tokenizers import AddedToken

    for item in items:
        flags = {name: item[name] for name in _FLAGS if name in item}
        token = AddedToken(item["content"], special=item["special"], **flags)
        if reference.token_to_id(item["content"]) is None:
            # The library numbers them one after another: ids that nothing has are filled.
            size = reference.get_vocab_size()
            holes = range(size, min(item["id"], size + _MOST_HOLES))
            reference.add_tokens([f"<|no token has the id {number}|>" for number in holes])
        add = reference.add_special_tokens if item["special"] else reference.add_tokens
        add([token])
        if reference.token_to_id(item["content"]) != item["id"]:
            message = f"the added token `{item['content'][:80]}` cannot have the id `{item['id']}`"
            raise ModelCorruptError(message, hint="the tokenizer's files do not belong together")


def _id(key: str) -> int | str:
    number = whole_number.parse(key)
    return key if number is None else number


def _checked(
    content: object, number: object, item: Mapping[str, Any], special: frozenset[str]
) -> dict[str, Any]:
    is_id = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < _MOST_ID
    if not isinstance(content, str) or not content or not is_id:
        message = f"the added token `{str(content)[:80]}` has the id `{str(number)[:40]}`"
        raise ModelCorruptError(message)
    flags = {name: item[name] for name in _FLAGS if isinstance(item.get(name), bool)}
    is_special = item.get("special") is True or content in special
    return {"id": number, "content": content, "special": is_special, **flags}


def _named_special(folder: Path, config: Mapping[str, Any]) -> frozenset[str]:
    """Texts that have a role: bos_token, additional_special_tokens and so on."""
    texts: set[str] = set()
    for values in (_optional(folder / "special_tokens_map.json"), config):
        for key, value in values.items():
            if key.endswith(("_token", "special_tokens")):
                for one in value if isinstance(value, list) else [value]:
                    text = one.get("content") if isinstance(one, dict) else one
                    texts |= {text} if isinstance(text, str) else set()
    return frozenset(texts)


def _optional(path: Path) -> dict[str, Any]:
    return json_object.read(path, _LIMIT_BYTES) if path.is_file() else {}
