"""Vocabulary: a model's tokenizer, alone or as part of a TextManager."""

from __future__ import annotations

import ctypes
import os
from ctypes import c_int32, c_size_t, c_void_p

from typing_extensions import Self

from sphere_edge.runtime import arguments, library
from sphere_edge.runtime.binding import C
from sphere_edge.runtime.handle import VOCABULARY, Handle
from sphere_edge.runtime.token_ids import TokenIds, as_array


class Vocabulary:
    """A tokenizer (the tokenizer.gguf of a bundle, or any .gguf), which needs no weights.

    For one thread at a time.
    """

    def __init__(self, handle: Handle) -> None:
        """Made by `open`, or by a TextManager for its own model."""
        self._handle = handle

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Opens a .gguf file. Raises NotFoundError, ModelCorruptError, UnsupportedError."""
        return cls(Handle(library.load(), VOCABULARY, arguments.model_path(path)))

    def tokenize(
        self, text: str, *, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        """Token ids of `text`.

        `add_special`: with begin and end tokens as the model expects them; `parse_special`: words
        such as `<|im_end|>` in the text are that token, not text.
        """
        encoded = arguments.utf8("the text", text)
        count = c_size_t()
        # Nearly always enough; when not, the core has returned how many there are.
        capacity = len(encoded) // 2 + 16
        while True:
            ids = (c_int32 * capacity)()
            given = (encoded, len(encoded), add_special, parse_special, ids, capacity)
            self._handle.call(C.se_text_tokenize, *given, ctypes.byref(count))
            if count.value <= capacity:
                return list(ids[: count.value])
            capacity = count.value

    def detokenize(self, token_ids: TokenIds, *, keep_special: bool = False) -> str:
        """The text of these tokens; bytes that are not UTF-8 become U+FFFD."""
        ids, count = as_array(token_ids)
        text, size = c_void_p(), c_size_t()
        given = (ids, count, keep_special, ctypes.byref(text), ctypes.byref(size))
        self._handle.call(C.se_text_detokenize, *given)
        try:
            return ctypes.string_at(text, size.value).decode("utf-8", "replace")
        finally:
            self._handle.library.run(C.se_string_free, text)

    def close(self) -> None:
        """Frees it. Closing twice is fine."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()
