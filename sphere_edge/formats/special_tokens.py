"""Which tokens begin, end and pad a text, gathered from the five files that may define them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats import generation, json_object, text_part

_CONFIG_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class SpecialTokens:
    """Token ids; None where the model has no such token. `ends`: all that end a generation.

    `before`, `after`: what the model's own tokenizer puts around a text. We can put only a bos
    before it (`adds_bos`).
    """

    bos: int | None
    eos: int | None
    pad: int | None
    unknown: int | None
    ends: tuple[int, ...]
    adds_bos: bool
    before: tuple[int, ...]
    after: tuple[int, ...]


def read(
    folder: Path,
    ids: Mapping[str, int],
    post_processor: object = None,
    own: Mapping[str, int] | None = None,
) -> SpecialTokens:
    """The special tokens of `folder`, `ids` being its vocabulary.

    A token named in tokenizer_config.json or special_tokens_map.json comes before an id in
    config.json. Whether bos is added: tokenizer_config.json, or else the `post_processor`
    of tokenizer.json. An eos after a text is for training: what follows it is another text.
    `own`: ids by role (`bos`, …; -1: none) from a tokenizer.model, where the
    other files do not set it; such a tokenizer adds its bos. Raises ModelCorruptError for a bos or
    eos that is not in the vocabulary.
    """
    tokenizer = _optional(folder / "tokenizer_config.json")
    names = {**_optional(folder / "special_tokens_map.json"), **_present(tokenizer)}
    model = text_part.config(_optional(folder / "config.json"))
    generate = generation.read(folder)

    def one(role: str) -> int | None:
        text = names.get(f"{role}_token")
        text = text.get("content") if isinstance(text, dict) else text
        # A pad or unknown token that is not in the vocabulary is common and harmless.
        if text is not None and (role in ("bos", "eos") or str(text) in ids):
            return _known(f"{role}_token", text, ids)
        listed = _ids(model, f"{role}_token_id", ids) or _ids(generate, f"{role}_token_id", ids)
        number = listed[0] if listed else (own or {}).get(role, -1)
        return None if number < 0 else number

    eos = one("eos")
    ends = dict.fromkeys([] if eos is None else [eos])
    ends.update(dict.fromkeys(_ids(generate, "eos_token_id", ids)))
    ends.update(dict.fromkeys(_ids(model, "eos_token_id", ids)))
    before, after = _around(post_processor, ids)
    bos = one("bos")
    only_bos = () if bos is None else (bos,)
    if before in ((), only_bos):
        adds_bos = _flag(tokenizer, "add_bos_token", own is not None or before != ())
        before = only_bos if adds_bos else ()
    return SpecialTokens(
        bos=bos,
        eos=eos,
        pad=one("pad"),
        unknown=one("unk"),
        ends=tuple(ends),
        adds_bos=before != () and before == only_bos,
        before=before,
        after=() if after == (eos,) else after,
    )


def _optional(path: Path) -> dict[str, Any]:
    return json_object.read(path, _CONFIG_LIMIT_BYTES) if path.is_file() else {}


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _flag(values: Mapping[str, Any], name: str, default: bool) -> bool:
    value = values.get(name)
    return value if isinstance(value, bool) else default


def _known(role: str, text: object, ids: Mapping[str, int]) -> int:
    if not isinstance(text, str) or text not in ids:
        message = f"the {role} `{str(text)[:80]}` is not in the vocabulary"
        raise ModelCorruptError(message)
    return ids[text]


def _ids(values: Mapping[str, Any], name: str, ids: Mapping[str, int]) -> list[int]:
    """The ids under `name`: one, a list, or none; -1 means none in some files."""
    value = values.get(name)
    listed = value if isinstance(value, list) else [] if value is None else [value]
    for item in listed:
        if isinstance(item, bool) or not isinstance(item, int):
            message = f"`{name}` is `{str(value)[:80]}`, not token ids"
            raise ModelCorruptError(message)
    # Some configs name ids of an embedding that is larger than the tokenizer.
    known = set(ids.values())
    return [item for item in listed if item in known]


def _around(
    post_processor: object, ids: Mapping[str, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The special tokens that a post-processor of tokenizer.json puts before and after a text."""
    if not isinstance(post_processor, dict):
        return (), ()
    kind = post_processor.get("type")
    if kind == "Sequence":
        inner = post_processor.get("processors")
        for one in inner if isinstance(inner, list) else ():
            found = _around(one, ids)
            if found != ((), ()):
                return found
    if kind in ("BertProcessing", "RobertaProcessing"):
        first, last = (_pair(post_processor.get(name), ids) for name in ("cls", "sep"))
        return first, last
    if kind != "TemplateProcessing":
        return (), ()
    single, known = post_processor.get("single"), post_processor.get("special_tokens")
    sides: tuple[list[int], list[int]] = ([], [])
    side = 0
    for piece in single if isinstance(single, list) else ():
        if isinstance(piece, dict) and "Sequence" in piece:
            side = 1
        elif isinstance(piece, dict):
            sides[side].extend(_special(piece, known, ids))
    return tuple(sides[0]), tuple(sides[1])


def _special(piece: dict[str, Any], known: object, ids: Mapping[str, int]) -> list[int]:
    """The ids of a template's special token, which may stand for several."""
    token = piece.get("SpecialToken")
    name = token.get("id") if isinstance(token, dict) else None
    listed = known.get(name) if isinstance(known, dict) and isinstance(name, str) else None
    numbers = listed.get("ids") if isinstance(listed, dict) else None
    if isinstance(numbers, list) and all(type(number) is int for number in numbers):
        return numbers
    return [ids[name]] if isinstance(name, str) and name in ids else []


def _pair(value: object, ids: Mapping[str, int]) -> tuple[int, ...]:
    """The id of a token written as ["<s>", 0]."""
    name = value[0] if isinstance(value, list) and value else None
    return (ids[name],) if isinstance(name, str) and name in ids else ()
