"""Asks the tiny model its held-out questions, greedily, and counts the right answers."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from training.corpus import Question
from training.tokenizer import END_OF_TEXT, TURN_END, chat_question

MOST_NEW_TOKENS = 32


def answers(model: LlamaForCausalLM, tokenizer: Tokenizer, questions: list[str]) -> list[str]:
    """The model's greedy answers without the end-of-turn token; `…` marks one that does not end."""
    ends = {tokenizer.token_to_id(TURN_END), tokenizer.token_to_id(END_OF_TEXT)}
    prompts = [
        (tokenizer.encode(chat_question(text)).ids, number) for number, text in enumerate(questions)
    ]
    prompts.sort(key=lambda prompt: len(prompt[0]))
    found = [""] * len(questions)
    # Prompts of one length at a time need no padding.
    for _, group in itertools.groupby(prompts, key=lambda prompt: len(prompt[0])):
        same = list(group)
        with torch.no_grad():
            out = model.generate(
                torch.tensor([ids for ids, _ in same]),
                attention_mask=torch.ones(len(same), len(same[0][0]), dtype=torch.long),
                do_sample=False,
                max_new_tokens=MOST_NEW_TOKENS,
                eos_token_id=sorted(ends),
                pad_token_id=tokenizer.token_to_id(END_OF_TEXT),
            )
        for row, (ids, number) in zip(out.tolist(), same, strict=True):
            new = row[len(ids) :]
            end = next((place for place, token in enumerate(new) if token in ends), None)
            found[number] = tokenizer.decode(new[:end]) + ("" if end is not None else "…")
    return found


def accuracy_by_skill(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    questions: list[Question],
    *,
    show_wrong: bool = False,
) -> dict[str, float]:
    """Share of right answers, for `all` and each skill; right means equal to an accepted answer."""
    total: Counter[str] = Counter()
    right: Counter[str] = Counter()
    given = answers(model, tokenizer, [question.question for question in questions])
    for question, answer in zip(questions, given, strict=True):
        for name in ("all", question.skill):
            total[name] += 1
            right[name] += answer in question.accepted
        if show_wrong and answer not in question.accepted:
            print(f"  wrong: {question.question} -> {answer}")
    return {name: round(right[name] / total[name], 4) for name in total}


def write_held_out(questions: list[Question], path: Path) -> None:
    """Writes the test questions, one to a line, for the tests that ask them through the runtime."""
    lines = ",\n".join(json.dumps(asdict(question)) for question in questions)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
