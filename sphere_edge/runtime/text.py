"""TextManager: a language model, from a bundle folder or a .gguf file, in this process.

with TextManager.open("dist/tiny.host") as text:
    for piece in text.chat([{"role": "user", "content": "What colour is the sky?"}]):
        print(piece, end="", flush=True)
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from sphere_edge import errors
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.read import is_gguf, read_manifest
from sphere_edge.formats import gguf
from sphere_edge.runtime import arguments, binding, chat_options, library, text_request
from sphere_edge.runtime.binding import C
from sphere_edge.runtime.c_function import Checked
from sphere_edge.runtime.chat_options import ChatKeywords, ChatOptions, Message
from sphere_edge.runtime.embedding import MOST_CALL_IDS, Embeddings, EmbedRequest, embed
from sphere_edge.runtime.generation import Generation
from sphere_edge.runtime.handle import TEXT, Handle
from sphere_edge.runtime.manager import Manager, model_name
from sphere_edge.runtime.open_options import OpenKeywords, OpenOptions, as_struct
from sphere_edge.runtime.request import requested
from sphere_edge.runtime.text_request import TextOptions, TextRequest
from sphere_edge.runtime.token_ids import TokenIds, as_array
from sphere_edge.runtime.vocabulary import Vocabulary
from sphere_edge.toolchain import ggml_gpu

if TYPE_CHECKING:
    # At run time only what returns logits imports it: generating text does not need it.
    import numpy as np
    import numpy.typing as npt

    from sphere_edge.runtime.chat_images import ChatImage

# Of a GGUF, where its first keys are.
_HEAD_BYTES = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class TextInfo:
    """What was opened; sizes in bytes, `threads` and `context_tokens` as they are in use.

    `device`: the GPU's name and driver. `backend_reason`: why `backend` is not the bundle's first
    choice, empty if it is. `speculates`: whether requests may have a `draft`. `reads_images`:
    whether chats may have images.
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
    sequences: int
    threads: int
    weights_bytes: int
    kv_cache_bytes: int
    has_chat_template: bool
    reads_images: bool
    generates: bool
    speculates: bool
    draft_model_bytes: int
    embedding_size: int
    embed_tokens: int
    pooling: str
    load_seconds: float


class TextManager(Manager):
    """A language model that is open.

    It may be used from any thread, by one call at a time. While a text is being generated, other
    calls raise InvalidArgumentError; only `cancel` and `close` do not, nor does a new `generate` or
    `chat` on the thread that began it: it ends it and takes its place. Nothing survives a fork.
    Every failure is a SphereEdgeError with `.code` and `.hint`.

    Opened with more than one of `sequences`, it takes any number of calls at once, also from one
    thread: that many are computed together, the others wait for their turn.
    """

    def __init__(self, handle: Handle, name: str) -> None:
        """Made by `open`."""
        self.info = handle.info(TextInfo, name)
        super().__init__(handle, is_shared=self.info.sequences > 1)
        self._vocabulary = Vocabulary(handle)
        self._call_ids = itertools.count(MOST_CALL_IDS + 1)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        options: OpenOptions | None = None,
        **changes: Unpack[OpenKeywords],
    ) -> TextManager:
        """Opens a bundle folder or a .gguf file.

        How: OpenOptions, or its fields as keywords. Builds the native runtime when it is not in the
        cache yet. Raises NotFoundError, ModelCorruptError, FormatMismatchError (another runtime or
        CPU, a draft model with another tokenizer), LoadFailedError, OutOfMemoryError,
        UnsupportedError (backend, a model that cannot check drafts), InvalidArgumentError.
        """
        options = requested(OpenOptions(), options, changes)
        model, draft = Path(path), options.draft_model
        location, struct = arguments.model_path(model), as_struct(options)
        manifest = _manifest(model)
        if model.is_dir():
            if manifest is not None and manifest.text is not None:
                _check_context(options.context_tokens, manifest.text.context_tokens, "the bundle")
        elif is_gguf(model):
            _check_gguf(model, options.context_tokens)
        if draft is not None and is_gguf(Path(draft)):
            _check_gguf(Path(draft), None)
        core = library.load(
            engine=_engine(model, draft), gpu=ggml_gpu.wanted(model, manifest, options.backend)
        )
        try:
            handle = Handle(core, TEXT, location, ctypes.byref(struct))
        except errors.SphereEdgeError as error:
            if is_gguf(model) and (what := gguf.aside(model)) is not None:
                message = f"`{model}` is {what}, not a model"
                raise errors.UnsupportedError(message) from error
            raise
        return cls(handle, model_name(model, ".gguf", ".GGUF"))

    def generate(
        self,
        prompt: str | TokenIds,
        request: TextRequest | None = None,
        **changes: Unpack[TextOptions],
    ) -> Generation:
        """Continues `prompt`, a text or token ids (to which no special tokens are added).

        How: a TextRequest, or its fields as keywords. Failures are raised by reading the output.
        """
        request = requested(TextRequest(), request, changes)
        if request.chat_template_kwargs is not None:
            message = "chat_template_kwargs are for `chat`: a prompt goes through no template"
            raise errors.InvalidArgumentError(message)
        if isinstance(prompt, str):
            text = arguments.string("the prompt", prompt)
            return self._start(request, C.se_text_generate, text)
        return self._start(request, C.se_text_generate_tokens, *as_array(prompt))

    def chat(
        self,
        messages: Sequence[Message],
        request: TextRequest | None = None,
        *,
        options: ChatOptions | None = None,
        **changes: Unpack[ChatKeywords],
    ) -> Generation:
        """Answers `messages`, each with a `role` (system, developer, user, assistant, tool) and a
        `content`, an assistant's also with `tool_calls` and `reasoning_content`, as OpenAI does.

        The `content` of a user or tool message may be a list of parts: `{"type": "text", "text":
        …}`, and for a model that sees `{"type": "image", "image": …}` with a PIL image, the bytes
        or the path of a PNG, JPEG or WebP file, or OpenAI's `image_url` with a `data:` URL.

        They go through the model's own chat template, and what it answers is read in the model's
        own format: `deltas()` of the Generation are typed, its `message` is the whole answer. What
        an earlier call has computed of the same beginning is not computed again. What it may
        answer: ChatOptions, or its fields as keywords. The rest is as with `generate`.
        """  # noqa: D205  the first sentence needs more than a line
        ours, others = chat_options.split(changes)
        options = requested(ChatOptions(), options, ours)
        request = requested(TextRequest(), request, others)
        document, images = chat_options.conversation(
            messages, options, request.chat_template_kwargs
        )
        return self._start(request, C.se_text_chat, document, images=images)

    def count_chat(
        self,
        messages: Sequence[Message],
        *,
        options: ChatOptions | None = None,
        **changes: Unpack[ChatKeywords],
    ) -> int:
        """How many tokens, also of images, the prompt has that `chat` would compute."""
        ours, others = chat_options.split(changes)
        options = requested(ChatOptions(), options, ours)
        request = requested(TextRequest(), None, others)
        document, images = chat_options.conversation(
            messages, options, request.chat_template_kwargs
        )
        with self._exclusive():
            filled = binding.GenerateOptions()
            size = ctypes.sizeof(filled)
            self._handle.call(C.se_text_default_options, ctypes.byref(filled), size)
            kept = text_request.fill_images(filled, images)
            count = ctypes.c_size_t()
            self._handle.long_call(
                C.se_text_count_chat, document, ctypes.byref(filled), ctypes.byref(count)
            )
            # Until here the options pointed to it.
            kept.clear()
            return count.value

    def render_chat(
        self,
        messages: Sequence[Message],
        *,
        options: ChatOptions | None = None,
        **changes: Unpack[ChatKeywords],
    ) -> str:
        """The prompt that `chat` would compute for `messages` with the same options.

        Where it has an image stands `<__media__>`.
        """
        ours, others = chat_options.split(changes)
        options = requested(ChatOptions(), options, ours)
        variables = requested(TextRequest(), None, others).chat_template_kwargs
        document, _ = chat_options.conversation(messages, options, variables)
        with self._exclusive():
            return self._handle.string(C.se_text_render_chat, document)

    def logits(self, token_ids: TokenIds) -> npt.NDArray[np.float32]:
        """Logits after each token: float32 [n, vocab_size]."""
        ids, count = as_array(token_ids)
        out = _floats(count, self.info.vocab_size)
        with self._exclusive():
            self._handle.long_call(C.se_text_logits, ids, count, _pointer(out), out.size)
        return out

    def next_logits(self, token_ids: TokenIds) -> npt.NDArray[np.float32]:
        """Logits after the last token, computed as `generate` does it: float32 [vocab_size].

        What the call before has computed of the same beginning is not computed again.
        """
        ids, count = as_array(token_ids)
        out = _floats(self.info.vocab_size)
        with self._exclusive():
            self._handle.long_call(C.se_text_next_logits, ids, count, _pointer(out), out.size)
        return out

    def score(self, token_ids: TokenIds) -> npt.NDArray[np.float32]:
        """Natural logarithms of the probability of each token but the first: float32 [n - 1]."""
        ids, count = as_array(token_ids)
        out = _floats(max(0, count - 1))
        with self._exclusive():
            self._handle.long_call(C.se_text_score, ids, count, _pointer(out))
        return out

    def embed(self, texts: Sequence[str], request: EmbedRequest | None = None) -> Embeddings:
        """A vector for each text. Raises UnsupportedError for models that make none (bundles
        compiled before there was `embed`), InvalidArgumentError for a text that is too long or has
        no tokens, CancelledError after `cancel_call`.
        """  # noqa: D205  the first sentence is short enough
        with self._exclusive():
            size = self.info.embedding_size
            return embed(self._handle, size, texts, request or EmbedRequest())

    def cancel_call(self, call_id: int) -> None:
        """Ends the call of `embed` with this id soon, if it runs; from any thread."""
        self._handle.cancel_call(arguments.count("call_id", call_id, MOST_CALL_IDS, least=1))

    def save(self, path: str | os.PathLike[str], *, sequence_key: str | None = None) -> int:
        """Writes a conversation to a file, to go on with `restore`; returns its number of tokens.

        `sequence_key`: as in its requests; None: that of the last call. The file holds the tokens
        and their keys and values, is hashed and bound to the model. Raises NotFoundError (no such
        conversation), UnsupportedError (backend or kind of model), StorageError.
        """
        return self._saved(C.se_text_save, path, sequence_key)

    def restore(self, path: str | os.PathLike[str], *, sequence_key: str | None = None) -> int:
        """Reads a saved conversation; a prompt that begins with it has only its rest computed.

        Returns its number of tokens. Raises ModelCorruptError (a damaged or other file),
        FormatMismatchError (another model or backend), InvalidArgumentError (too long for the
        context), NotFoundError.
        """
        return self._saved(C.se_text_restore, path, sequence_key)

    def _saved(
        self, function: Checked, path: str | os.PathLike[str], sequence_key: str | None
    ) -> int:
        key = arguments.optional_string("sequence_key", sequence_key)
        file, tokens = arguments.path(path), ctypes.c_size_t()
        with self._exclusive():
            self._handle.long_call(function, key, file, ctypes.byref(tokens))
        return tokens.value

    def tokenize(
        self, text: str, *, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        """As `Vocabulary.tokenize`."""
        with self._exclusive():
            return self._vocabulary.tokenize(
                text, add_special=add_special, parse_special=parse_special
            )

    def detokenize(self, token_ids: TokenIds, *, keep_special: bool = False) -> str:
        """As `Vocabulary.detokenize`."""
        with self._exclusive():
            return self._vocabulary.detokenize(token_ids, keep_special=keep_special)

    def reset(self) -> None:
        """Forgets what was computed so far: the next call computes its whole prompt."""
        with self._exclusive():
            self._handle.call(C.se_text_reset)

    def _start(
        self,
        request: TextRequest,
        function: Checked,
        *prompt: Any,
        images: Sequence[ChatImage] = (),
    ) -> Generation:
        with self._exclusive(replaces=True):
            options = binding.GenerateOptions()
            size = ctypes.sizeof(options)
            self._handle.call(C.se_text_default_options, ctypes.byref(options), size)
            kept = text_request.fill(options, request)
            kept += text_request.fill_images(options, images)
            options.call_id = call_id = next(self._call_ids)

            def call(on_delta: Any, result: binding.Result) -> errors.SphereEdgeError | None:
                failure = self._handle.status(
                    function, *prompt, ctypes.byref(options), on_delta, None, ctypes.byref(result)
                )
                # Until here the options pointed to it.
                kept.clear()
                return failure

            generation = Generation(call, partial(self._handle.cancel_call, call_id))
            self._began(generation.task)
            return generation


def _check_gguf(model: Path, context_tokens: int | None) -> None:
    """Refuses what llama.cpp would take without a word, or end the process for.

    A header is read in tenths of a second, so only where there is something to look for.
    """
    # What is wrong with the file is said by the core.
    with suppress(errors.ModelCorruptError, errors.NotFoundError, errors.StorageError, OSError):
        with model.open("rb") as file:
            may_be_odd = gguf.ALIGNMENT.encode() in file.read(_HEAD_BYTES)
        if not (may_be_odd or context_tokens):
            return
        header = gguf.read(model)
        gguf.check_alignment(header)
        if header.context_tokens is not None:
            _check_context(context_tokens, header.context_tokens, "the model")


def _check_context(wanted: int | None, most: int, what: str) -> None:
    if wanted is not None and wanted > most:
        message = f"a context of `{wanted}` tokens is more than the `{most}` of {what}"
        hint = f"at most {most}"
        if what == "the bundle":
            hint += f", or package the model again with --context {wanted}"
        raise errors.InvalidArgumentError(message, hint=hint)


def _manifest(model: Path) -> Manifest | None:
    """Of a bundle; the core reports what is wrong with it."""
    if model.is_dir():
        with suppress(errors.SphereEdgeError):
            return read_manifest(model)
    return None


def _engine(model: Path, draft_model: str | os.PathLike[str] | None = None) -> str:
    """The engine that these need of the native core, which says itself what it cannot open."""
    if draft_model is not None and _engine(Path(draft_model)) == "llama":
        # Every native core has the other one.
        return "llama"
    if (manifest := _manifest(model)) is not None:
        return manifest.engine if manifest.engine == "llama" else "tvm"
    with suppress(OSError), model.open("rb") as file:
        if file.read(len(gguf.MAGIC)) == gguf.MAGIC:
            return "llama"
    return "tvm"


def _floats(*shape: int) -> npt.NDArray[np.float32]:
    import numpy as np

    return np.empty(shape, dtype=np.float32)


def _pointer(array: npt.NDArray[np.float32]) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
