"""Turns conversations into batches of token ids, similar lengths together to save padding."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from training.corpus import Conversation, Stream
from training.tokenizer import END_OF_TEXT, TURN_END, chat_prefix, chat_question

# Longest row in tokens; longer conversations are cut there.
LONGEST = 256


@dataclass(frozen=True)
class Batch:
    """Token ids int64 [rows, length] and, in the same shape, which of them are predicted."""

    token_ids: torch.Tensor
    loss_mask: torch.Tensor


def _row(conversation: Conversation, tokenizer: Tokenizer) -> tuple[list[int], list[bool]]:
    """Answers with their end, and whole documents, are learned; questions only are read."""
    parts: list[tuple[str, bool]]
    if conversation.document:
        parts = [(conversation.document + END_OF_TEXT, True)]
    else:
        parts = [(chat_prefix(conversation.system), False)]
        for turn in conversation.turns:
            parts += [
                (chat_question(turn.question), False),
                (turn.answer + TURN_END, True),
                ("\n", False),
            ]
    ids: list[int] = []
    loss_mask: list[bool] = []
    for encoding, (_, learn) in zip(
        tokenizer.encode_batch_fast([text for text, _ in parts]), parts, strict=True
    ):
        ids += encoding.ids
        loss_mask += [learn] * len(encoding.ids)
    return ids[:LONGEST], loss_mask[:LONGEST]


def batches(
    tokenizer: Tokenizer, seed: int, tokens_per_batch: int, pool: int = 48
) -> Iterator[Batch]:
    """Endless batches of about `tokens_per_batch` tokens; `pool` of them are sorted at a time."""
    shuffle = random.Random(seed)
    stream = iter(Stream(seed))
    padding = tokenizer.token_to_id(END_OF_TEXT)
    while True:
        rows: list[tuple[list[int], list[bool]]] = []
        total = 0
        while total < pool * tokens_per_batch:
            rows.append(_row(next(stream), tokenizer))
            total += len(rows[-1][0])
        rows.sort(key=lambda row: len(row[0]))
        cuts: list[list[tuple[list[int], list[bool]]]] = [[]]
        for row in rows:
            if cuts[-1] and len(row[0]) * (len(cuts[-1]) + 1) > tokens_per_batch:
                cuts.append([])
            cuts[-1].append(row)
        shuffle.shuffle(cuts)
        for cut in cuts:
            length = max(len(ids) for ids, _ in cut)
            yield Batch(
                torch.tensor([ids + [padding] * (length - len(ids)) for ids, _ in cut]),
                torch.tensor(
                    [loss_mask + [False] * (length - len(loss_mask)) for _, loss_mask in cut]
                ),
            )


def first(tokenizer: Tokenizer, seed: int, tokens_per_batch: int, count: int) -> list[Batch]:
    """The first `count` batches."""
    return list(itertools.islice(batches(tokenizer, seed, tokens_per_batch), count))
