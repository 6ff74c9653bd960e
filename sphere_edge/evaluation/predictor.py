"""What is compared: anything that gives logits for tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Predictor(Protocol):
    """A language model; sphere_edge.TextManager is one."""

    def tokenize(
        self, text: str, *, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        """Token ids of `text`.

        `add_special`: with begin and end tokens as the model needs them; `parse_special`: words
        such as `<|im_end|>` in the text are that token, not text.
        """

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """`messages` as the prompt for the next answer."""

    def logits(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Logits after each token: float32 [n, vocab]."""


@dataclass(frozen=True)
class Subject:
    """A model to be compared: its name in the report, its vocabulary and context in tokens."""

    name: str
    model: Predictor
    vocab_size: int
    context_tokens: int
