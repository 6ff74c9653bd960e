"""TextManager: a language model, from a bundle folder or a .gguf file, in this process.

with TextManager.open("dist/tiny.host") as text:
    for piece in text.chat([{"role": "user", "content": "What colour is the sky?"}]):
        print(piece, end="", flush=True)
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from sphere_edge import errors
from sphere_edge.bundle.read import read_manifest
from sphere_edge.runtime import binding, library, options
from sphere_edge.runtime.generation import Generation, Result
from sphere_edge.runtime.handle import Handle, TokenIds, as_array
from sphere_edge.runtime.options import Sampling
from sphere_edge.runtime.work import Work
from sphere_edge.toolchain import ggml_gpu

Message = Mapping[str, str]

_GREATEST_THREADS = 512
_INT32 = 0x7FFFFFFF


@dataclasses.dataclass(frozen=True)
class TextInfo:
    """What was opened; sizes in bytes, `threads` and `context_tokens` as they are in use.

    `device`: the GPU's name and driver. `backend_reason`: why `backend` is not the bundle's first
    choice, empty if it is.
    """

    name: str
    engine: str
    backend: str
    device: str
    backend_reason: str
    family: str
    quantization: str
    vocab_size: int
    context_tokens: int
    threads: int
    weights_bytes: int
    kv_cache_bytes: int
    has_chat_template: bool
    load_seconds: float


class TextManager:
    """A language model that is open.

    It may be used from any thread, by one call at a time. While an answer is being made, other
    calls raise InvalidArgumentError; only `cancel` and `close` do not, nor does a new `generate` or
    `chat` on the thread that began the answer: it ends it and takes its place. Nothing survives a
    fork. Every failure is a SphereEdgeError with `.code` and `.hint`.
    """

    def __init__(self, handle: Handle, name: str) -> None:
        """Made by `open`."""
        self._handle = handle
        self._turn = threading.RLock()
        self._answer: Work[str, Result] | None = None
        told = json.loads(handle.string("se_text_info"))
        names = {field.name for field in dataclasses.fields(TextInfo)} - {"name"}
        self.info = TextInfo(name=name, **{key: told[key] for key in names})

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int = 0,
        context_tokens: int | None = None,
        backend: str | None = None,
    ) -> TextManager:
        """Opens a bundle folder or a .gguf file.

        `threads` 0: as many as there are performance cores. `context_tokens` None or 0: what the
        bundle was made for; min(4096, the model's own) for a .gguf. `backend` (cpu, opencl, cuda,
        metal, vulkan) None: the bundle's first choice, or the next one where that does not work;
        `info` says which and why. Builds the native runtime when it is not in the cache yet. Raises
        NotFoundError, ModelCorruptError, FormatMismatchError (another runtime or CPU),
        LoadFailedError, OutOfMemoryError, UnsupportedError (backend).
        """
        place = Path(path)
        asked = binding.OpenOptions(
            size=ctypes.sizeof(binding.OpenOptions),
            threads=options.count("threads", threads, _GREATEST_THREADS),
            context_tokens=options.count("context_tokens", context_tokens or 0, _INT32),
            backend=backend.encode() if backend is not None else None,
        )
        arguments = (library.encoded(place), ctypes.byref(asked))
        name = place.stem if place.suffix == ".gguf" else place.absolute().name
        manifest = None
        if place.is_dir():
            # What is wrong with it the core will say.
            with suppress(errors.SphereEdgeError):
                manifest = read_manifest(place)
        core = library.load(gpu=ggml_gpu.wanted(place, manifest, backend))
        return cls(Handle(core, "se_text_open", *arguments), name)

    def generate(
        self,
        prompt: str | TokenIds,
        **sampling: Unpack[Sampling],
    ) -> Generation:
        """Continues `prompt`, a text or token ids (to which no special tokens are added).

        How, is said by keywords: see `Sampling`. Failures are raised by reading the answer.
        """
        if isinstance(prompt, str):
            given: tuple[Any, ...] = (options.string("the prompt", prompt),)
            return self._start("se_text_generate", given, sampling)
        return self._start("se_text_generate_tokens", as_array(prompt), sampling)

    def chat(
        self,
        messages: Sequence[Message],
        *,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        **sampling: Unpack[Sampling],
    ) -> Generation:
        """Answers `messages`, each with a `role` (system, user, assistant) and a `content`.

        They go through the model's own chat template, which reads `chat_template_kwargs`, too: what
        it knows stands in the model's card, such as `{"enable_thinking": False}` for Qwen3.
        What the call before has computed of the same beginning is not computed again. The rest is
        as with `generate`.
        """
        return self._start(
            "se_text_chat", (_conversation(messages, chat_template_kwargs),), sampling
        )

    def render_chat(
        self,
        messages: Sequence[Message],
        *,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt that `chat` would compute for `messages`."""
        conversation = _conversation(messages, chat_template_kwargs)
        with self._alone():
            return self._handle.string("se_text_render_chat", conversation)

    def logits(self, token_ids: TokenIds) -> npt.NDArray[np.float32]:
        """Logits after each token: float32 [n, vocab_size]."""
        ids, count = as_array(token_ids)
        out = np.empty((count, self.info.vocab_size), dtype=np.float32)
        pointer = out.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        with self._alone():
            self._handle.long_call("se_text_logits", ids, count, pointer, out.size)
        return out

    def next_logits(self, token_ids: TokenIds) -> npt.NDArray[np.float32]:
        """Logits after the last token, computed as answers are: float32 [vocab_size].

        What the call before has computed of the same beginning is not computed again.
        """
        ids, count = as_array(token_ids)
        out = np.empty(self.info.vocab_size, dtype=np.float32)
        pointer = out.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        with self._alone():
            self._handle.long_call("se_text_next_logits", ids, count, pointer, out.size)
        return out

    def score(self, token_ids: TokenIds) -> npt.NDArray[np.float32]:
        """Natural logarithms of the probability of each token but the first: float32 [n - 1]."""
        ids, count = as_array(token_ids)
        out = np.empty(max(0, count - 1), dtype=np.float32)
        pointer = out.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        with self._alone():
            self._handle.long_call("se_text_score", ids, count, pointer)
        return out

    def tokenize(
        self, text: str, *, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        """Token ids of `text`.

        `add_special`: with begin and end tokens as the model wants them; `parse_special`: words
        such as `<|im_end|>` in the text are that token, not text.
        """
        with self._alone():
            return self._handle.tokenize(text, add_special, parse_special)

    def detokenize(self, token_ids: TokenIds, *, keep_special: bool = False) -> str:
        """The text of these tokens; bytes that are no UTF-8 become U+FFFD."""
        with self._alone():
            return self._handle.detokenize(token_ids, keep_special)

    def cancel(self) -> None:
        """Ends the answer under way, if there is one; from any thread."""
        answer = self._answer
        if answer is not None:
            answer.cancel()

    def reset(self) -> None:
        """Forgets what was computed so far: the next call computes its whole prompt."""
        with self._alone():
            self._handle.call("se_text_reset")

    def close(self) -> None:
        """Ends the answer under way and frees the model. Closing twice is fine."""
        answer = self._answer
        if answer is not None:
            answer.stop()
        with self._turn:
            self._handle.close()

    def __enter__(self) -> TextManager:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _start(self, name: str, given: tuple[Any, ...], sampling: Sampling) -> Generation:
        with self._turn:
            answer = self._answer
            if answer is not None and answer.reader == threading.get_ident():
                answer.stop()
            with self._alone():
                asked = binding.GenerateOptions()
                self._handle.call("se_text_default_options", ctypes.byref(asked))
            kept = options.fill(asked, sampling)

            def call(on_piece: Any, result: binding.Result) -> errors.SphereEdgeError | None:
                failure = self._handle.status(
                    name, *given, ctypes.byref(asked), on_piece, None, ctypes.byref(result)
                )
                # Until here the options pointed to it.
                kept.clear()
                return failure

            generation = Generation(call, self._handle.cancel)
            self._answer = generation.work
            return generation

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """For a call that needs the engine to itself."""
        with self._turn:
            answer = self._answer
            if answer is not None and answer.is_running:
                if not answer.is_abandoned:
                    message = "the model is still making an answer"
                    hint = "read the answer to its end, or close it"
                    raise errors.InvalidArgumentError(message, hint=hint)
                answer.stop()
            yield


class Vocabulary:
    """A tokenizer alone (the tokenizer.gguf of a bundle, or any .gguf), without weights.

    For one thread at a time.
    """

    def __init__(self, handle: Handle) -> None:
        """Made by `open`."""
        self._handle = handle

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Opens a .gguf file. Raises NotFoundError, ModelCorruptError, UnsupportedError."""
        encoded = library.encoded(Path(path))
        return cls(Handle(library.load(), "se_text_open_vocabulary", encoded))

    def tokenize(
        self, text: str, *, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        """As `TextManager.tokenize`."""
        return self._handle.tokenize(text, add_special, parse_special)

    def detokenize(self, token_ids: TokenIds, *, keep_special: bool = False) -> str:
        """As `TextManager.detokenize`."""
        return self._handle.detokenize(token_ids, keep_special)

    def close(self) -> None:
        """Frees it. Closing twice is fine."""
        self._handle.close()

    def __enter__(self) -> Vocabulary:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def _conversation(messages: Sequence[Message], template: Mapping[str, Any] | None) -> bytes:
    listed = [dict(message) if isinstance(message, Mapping) else message for message in messages]
    whole = listed if template is None else {"messages": listed, "chat_template_kwargs": template}
    return options.to_json("the message list", whole).encode()
