"""Log probabilities of tokens in OpenAI's forms."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from sphere_edge.runtime.text_delta import TokenLogprob


def of_tokens(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """As in Chat Completions and Responses; `bytes` may be a part of a character."""
    return [
        {**_of_token(token), "top_logprobs": [_of_token(top) for top in token.top_logprobs]}
        for token in tokens
    ]


def of_completion(tokens: Sequence[TokenLogprob], text_offset: int) -> dict[str, Any]:
    """As in Completions: four lists; `text_offset` is where the first token begins."""
    texts = [text_of(token) for token in tokens]
    offsets = list(accumulate(map(len, texts), initial=text_offset))[: len(texts)]
    return {
        "tokens": texts,
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [
            {text_of(top): top.logprob for top in token.top_logprobs} for token in tokens
        ],
        "text_offset": offsets,
    }


def text_of(token: TokenLogprob) -> str:
    """The token's text."""
    return token.bytes.decode("utf-8", "replace")


def _of_token(token: TokenLogprob) -> dict[str, Any]:
    return {"token": text_of(token), "logprob": token.logprob, "bytes": list(token.bytes)}
