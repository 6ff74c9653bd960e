"""The tiny model's tokenizer: byte-level BPE with Qwen2's pre-tokenizer, learned from our text."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.conversation import BEYOND
from training.corpus import Conversation, Stream

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIALS = (END_OF_TEXT, TURN_START, TURN_END)
VOCABULARY = 2048
# Exactly the expression of Qwen2's tokenizer.json: every runtime that knows Qwen2 splits as we do,
# and each digit is a token of its own, which is what makes sums learnable.
PRE_TOKENIZER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def chat_prefix(system: str | None) -> str:
    """The text before the first turn."""
    return "" if system is None else f"{TURN_START}system\n{system}{TURN_END}\n"


def chat_question(question: str) -> str:
    """The user's turn and the start of the answer, as CHAT_TEMPLATE renders them."""
    return f"{TURN_START}user\n{question}{TURN_END}\n{TURN_START}assistant\n"


def _texts(conversations: Iterator[Conversation]) -> Iterator[str]:
    for conversation in conversations:
        if conversation.document:
            yield conversation.document
        if conversation.system:
            yield f"system\n{conversation.system}"
        for turn in conversation.turns:
            yield f"user\n{turn.question}"
            yield f"assistant\n{turn.answer}"


def learn(seed: int, conversations: int = 60_000) -> Tokenizer:
    """A tokenizer of VOCABULARY tokens from the first `conversations` of the stream of `seed`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRE_TOKENIZER), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIALS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        itertools.chain(BEYOND, _texts(itertools.islice(Stream(seed), conversations))), trainer
    )
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Writes tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": TURN_END,
        "model_max_length": context,
        "pad_token": END_OF_TEXT,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, indent=2) + "\n", encoding="utf-8"
    )
