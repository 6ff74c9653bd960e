"""The C API of native/include/sphere_edge.h as ctypes: structs, functions, errors; nothing more."""

from __future__ import annotations

import ctypes
from ctypes import (
    CFUNCTYPE,
    POINTER,
    c_bool,
    c_char,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import Any

from sphere_edge import errors
from sphere_edge.runtime.binding_image import ImageFunctions
from sphere_edge.runtime.c_function import CFunction, Checked, Plain

# SE_SEED_RANDOM of the header: a fresh seed, which the result names.
SEED_RANDOM = 0xFFFFFFFF


class OpenOptions(ctypes.Structure):
    """`se_text_open_options`."""

    _fields_ = [
        ("size", c_size_t),
        ("backend", c_char_p),
        ("cache_folder", c_char_p),
        ("code_folder", c_char_p),
        ("threads", c_int32),
        ("context_tokens", c_uint32),
        ("sequences", c_uint32),
        ("measure_kernels", c_bool),
        ("reserved", c_uint8 * 3),
        ("draft_model", c_char_p),
        ("mmproj", c_char_p),
        ("trusted_keys", c_char_p),
    ]


class LogitBias(ctypes.Structure):
    """`se_logit_bias`."""

    _fields_ = [("token_id", c_int32), ("bias", c_float)]


class ChatImage(ctypes.Structure):
    """`se_chat_image`."""

    _fields_ = [("pixels", POINTER(c_uint8)), ("width", c_uint32), ("height", c_uint32)]


class GenerateOptions(ctypes.Structure):
    """`se_text_generate_options`; whoever fills it keeps the strings it points to alive."""

    _fields_ = [
        ("size", c_size_t),
        ("max_tokens", c_uint32),
        ("timeout_ms", c_uint32),
        ("stop", POINTER(c_char_p)),
        ("stop_count", c_size_t),
        ("stop_token_ids", POINTER(c_int32)),
        ("stop_token_count", c_size_t),
        ("grammar", c_char_p),
        ("json_schema", c_char_p),
        ("logit_bias", POINTER(LogitBias)),
        ("logit_bias_count", c_size_t),
        ("seed", c_uint32),
        ("temperature", c_float),
        ("top_k", c_int32),
        ("top_p", c_float),
        ("min_p", c_float),
        ("xtc_probability", c_float),
        ("xtc_threshold", c_float),
        ("repeat_penalty", c_float),
        ("presence_penalty", c_float),
        ("frequency_penalty", c_float),
        ("repeat_last_n", c_int32),
        ("dry_multiplier", c_float),
        ("dry_base", c_float),
        ("dry_allowed_length", c_int32),
        ("dry_last_n", c_int32),
        ("ignore_end_of_text", c_bool),
        ("logprobs", c_bool),
        ("top_logprobs", c_uint8),
        ("reserved", c_uint8),
        ("dry_sequence_breakers", POINTER(c_char_p)),
        ("dry_sequence_breaker_count", c_size_t),
        ("sequence_key", c_char_p),
        ("call_id", c_uint64),
        ("draft", c_int32),
        ("draft_tokens", c_uint32),
        ("prediction", c_char_p),
        ("images", POINTER(ChatImage)),
        ("image_count", c_size_t),
    ]


class Result(ctypes.Structure):
    """`se_text_result`."""

    _fields_ = [
        ("size", c_size_t),
        ("finish_reason", c_int32),
        ("stop_index", c_int32),
        ("prompt_tokens", c_uint32),
        ("cached_tokens", c_uint32),
        ("completion_tokens", c_uint32),
        ("reasoning_tokens", c_uint32),
        ("seed", c_uint32),
        ("reserved", c_uint8 * 4),
        ("prefill_seconds", c_double),
        ("first_token_seconds", c_double),
        ("decode_seconds", c_double),
        ("backend", c_char * 16),
        ("draft_tokens", c_uint32),
        ("accepted_tokens", c_uint32),
    ]


class TokenLogprob(ctypes.Structure):
    """`se_token_logprob`."""


TokenLogprob._fields_ = [
    ("token_id", c_int32),
    ("logprob", c_float),
    ("bytes", c_void_p),
    ("byte_count", c_size_t),
    ("top", POINTER(TokenLogprob)),
    ("top_count", c_size_t),
]


class Delta(ctypes.Structure):
    """`se_text_delta`; valid while the function that gets it runs. `text` has no NUL at its end."""

    _fields_ = [
        ("size", c_size_t),
        ("kind", c_int32),
        ("tool_index", c_uint32),
        ("text", c_void_p),
        ("text_bytes", c_size_t),
        ("tool_call_id", c_char_p),
        ("tool_name", c_char_p),
        ("logprobs", POINTER(TokenLogprob)),
        ("logprob_count", c_size_t),
    ]


class EmbedOptions(ctypes.Structure):
    """`se_text_embed_options`."""

    _fields_ = [
        ("size", c_size_t),
        ("call_id", c_uint64),
        ("pooling", c_int32),
        ("timeout_ms", c_uint32),
        ("raw", c_bool),
        ("truncate", c_bool),
        ("reserved", c_uint8 * 6),
    ]


class EmbedResult(ctypes.Structure):
    """`se_text_embed_result`."""

    _fields_ = [
        ("size", c_size_t),
        ("tokens", c_uint64),
        ("truncated", c_uint32),
        ("reserved", c_uint8 * 4),
        ("seconds", c_double),
    ]


class AudioOpenOptions(ctypes.Structure):
    """`se_audio_open_options`."""

    _fields_ = [
        ("size", c_size_t),
        ("vad_model", c_char_p),
        ("threads", c_int32),
        ("reserved", c_uint8 * 4),
        ("trusted_keys", c_char_p),
    ]


class AudioWord(ctypes.Structure):
    """`se_audio_word`."""

    _fields_ = [
        ("start_ms", c_int64),
        ("end_ms", c_int64),
        ("text", c_char_p),
        ("probability", c_float),
        ("reserved", c_uint8 * 4),
    ]


class AudioToken(ctypes.Structure):
    """`se_audio_token`."""

    _fields_ = [("id", c_int32), ("probability", c_float), ("text", c_char_p)]


class AudioSegment(ctypes.Structure):
    """`se_audio_segment`; valid while the function that gets it runs."""

    _fields_ = [
        ("size", c_size_t),
        ("start_ms", c_int64),
        ("end_ms", c_int64),
        ("text", c_char_p),
        ("language", c_char_p),
        ("probability", c_float),
        ("no_speech_probability", c_float),
        ("words", POINTER(AudioWord)),
        ("word_count", c_size_t),
        ("tokens", POINTER(AudioToken)),
        ("token_count", c_size_t),
    ]


# bool on_segment(const se_audio_segment *segment, void *user_data)
SegmentFunction = CFUNCTYPE(c_bool, POINTER(AudioSegment), c_void_p)
# bool on_progress(float done, void *user_data)
ProgressFunction = CFUNCTYPE(c_bool, c_float, c_void_p)


class TranscribeOptions(ctypes.Structure):
    """`se_audio_transcribe_options`; whoever fills it keeps what it points to alive."""

    _fields_ = [
        ("size", c_size_t),
        ("language", c_char_p),
        ("prompt", c_char_p),
        ("on_progress", ProgressFunction),
        ("temperature", c_float),
        ("temperature_step", c_float),
        ("beam_size", c_int32),
        ("max_segment_characters", c_uint32),
        ("timeout_ms", c_uint32),
        ("translate", c_bool),
        ("word_timestamps", c_bool),
        ("vad", c_bool),
        ("ignore_previous_text", c_bool),
    ]


class AudioResult(ctypes.Structure):
    """`se_audio_result`."""

    _fields_ = [
        ("size", c_size_t),
        ("language", c_char * 8),
        ("language_probability", c_float),
        ("segments", c_uint32),
        ("audio_seconds", c_double),
        ("first_segment_seconds", c_double),
        ("total_seconds", c_double),
        ("encode_seconds", c_double),
        ("decode_seconds", c_double),
    ]


class KernelTensor(ctypes.Structure):
    """se_kernel_tensor."""

    _fields_ = [("values", POINTER(c_float)), ("rows", c_size_t), ("columns", c_size_t)]


# void on_kernel(const char *kernel, const se_kernel_tensor *, size_t, void *user_data)
TraceFunction = CFUNCTYPE(None, c_char_p, POINTER(KernelTensor), c_size_t, c_void_p)


class StreamOptions(ctypes.Structure):
    """`se_audio_stream_options`; the library copies all of it."""

    _fields_ = [
        ("size", c_size_t),
        ("transcribe", POINTER(TranscribeOptions)),
        ("step_ms", c_uint32),
        ("silence_ms", c_uint32),
        ("longest_ms", c_uint32),
        ("reserved", c_uint8 * 4),
    ]


# bool on_segment(const se_audio_segment *segment, bool is_final, void *user_data)
StreamFunction = CFUNCTYPE(c_bool, POINTER(AudioSegment), c_bool, c_void_p)

# bool on_delta(const se_text_delta *delta, void *user_data)
DeltaFunction = CFUNCTYPE(c_bool, POINTER(Delta), c_void_p)

# void log(se_log_level level, const char *message, void *user_data)
LogFunction = CFUNCTYPE(None, c_int32, c_char_p, c_void_p)

_TEXT = c_void_p
_AUDIO = c_void_p
_STREAM = c_void_p
_GENERATE_TAIL = (POINTER(GenerateOptions), DeltaFunction, c_void_p, POINTER(Result))


class C(ImageFunctions):
    """The functions of the header, by their own names."""

    se_system_info = Checked(POINTER(c_void_p))
    se_gpu_info = Checked(POINTER(c_void_p))
    se_model_info = Checked(c_char_p, POINTER(c_void_p))
    se_status_name = Plain(c_int32, returns=c_char_p)
    se_version = Plain(returns=c_char_p)
    se_last_error = Plain(returns=c_char_p)
    se_last_hint = Plain(returns=c_char_p)
    se_string_free = Plain(c_void_p)
    se_log_set = Plain(LogFunction, c_void_p)

    se_text_open = Checked(c_char_p, POINTER(OpenOptions), POINTER(_TEXT))
    se_text_open_vocabulary = Checked(c_char_p, POINTER(_TEXT))
    se_text_info = Checked(_TEXT, POINTER(c_void_p))
    se_text_default_options = Checked(_TEXT, POINTER(GenerateOptions), c_size_t)
    se_text_generate = Checked(_TEXT, c_char_p, *_GENERATE_TAIL)
    se_text_generate_tokens = Checked(_TEXT, POINTER(c_int32), c_size_t, *_GENERATE_TAIL)
    se_text_chat = Checked(_TEXT, c_char_p, *_GENERATE_TAIL)
    se_text_count_chat = Checked(_TEXT, c_char_p, POINTER(GenerateOptions), POINTER(c_size_t))
    se_text_render_chat = Checked(_TEXT, c_char_p, POINTER(c_void_p))
    se_text_logits = Checked(_TEXT, POINTER(c_int32), c_size_t, POINTER(c_float), c_size_t)
    se_text_next_logits = Checked(_TEXT, POINTER(c_int32), c_size_t, POINTER(c_float), c_size_t)
    se_text_set_trace = Checked(_TEXT, TraceFunction, c_void_p)
    se_text_score = Checked(_TEXT, POINTER(c_int32), c_size_t, POINTER(c_float))
    se_text_embed = Checked(
        *(_TEXT, POINTER(c_char_p), c_size_t, POINTER(EmbedOptions)),
        *(POINTER(c_float), c_size_t, POINTER(EmbedResult)),
    )
    se_text_save = Checked(_TEXT, c_char_p, c_char_p, POINTER(c_size_t))
    se_text_restore = Checked(_TEXT, c_char_p, c_char_p, POINTER(c_size_t))
    se_text_tokenize = Checked(
        *(_TEXT, c_char_p, c_size_t, c_bool, c_bool),
        *(POINTER(c_int32), c_size_t, POINTER(c_size_t)),
    )
    se_text_detokenize = Checked(
        *(_TEXT, POINTER(c_int32), c_size_t, c_bool),
        *(POINTER(c_void_p), POINTER(c_size_t)),
    )
    se_text_reset = Checked(_TEXT)
    se_text_close = Plain(_TEXT)
    se_text_cancel = Plain(_TEXT)
    se_text_cancel_call = Plain(_TEXT, c_uint64)

    se_audio_open = Checked(c_char_p, POINTER(AudioOpenOptions), POINTER(_AUDIO))
    se_audio_info = Checked(_AUDIO, POINTER(c_void_p))
    se_audio_default_options = Checked(POINTER(TranscribeOptions), c_size_t)
    se_audio_transcribe = Checked(
        *(_AUDIO, POINTER(c_float), c_size_t, POINTER(TranscribeOptions)),
        *(SegmentFunction, c_void_p, POINTER(AudioResult)),
    )
    se_audio_close = Plain(_AUDIO)
    se_audio_cancel = Plain(_AUDIO)

    se_audio_stream_default_options = Checked(POINTER(StreamOptions), c_size_t)
    se_audio_stream_open = Checked(
        *(_AUDIO, POINTER(StreamOptions), StreamFunction, c_void_p, POINTER(_STREAM)),
    )
    se_audio_stream_push = Checked(_STREAM, POINTER(c_float), c_size_t)
    se_audio_stream_finish = Checked(_STREAM)
    se_audio_stream_close = Plain(_STREAM)


# Every function, by its name.
FUNCTIONS: dict[str, CFunction] = {
    name: function for name in dir(C) if isinstance(function := getattr(C, name), CFunction)
}


class Library:
    """A loaded libsphere_edge. All of it may be used from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._c = ctypes.CDLL(str(path))
        for name, declared in FUNCTIONS.items():
            function = getattr(self._c, name)
            function.restype, function.argtypes = declared.returns, list(declared.arguments)

    @property
    def version(self) -> str:
        """Version of the native core."""
        return _decoded(self.run(C.se_version))

    def status(self, function: Checked, *arguments: Any) -> errors.SphereEdgeError | None:
        """Calls `function`; its failure is returned, None if there is none.

        The library keeps the message of a failure for each thread, so it is fetched here, on the
        thread that made the call.
        """
        code = getattr(self._c, function.name)(*arguments)
        if code == errors.Status.OK:
            return None
        message = _decoded(self.run(C.se_last_error))
        return errors.from_status(code, message, _decoded(self.run(C.se_last_hint)) or None)

    def call(self, function: Checked, *arguments: Any) -> None:
        """Calls `function`; its failure is raised."""
        failure = self.status(function, *arguments)
        if failure is not None:
            raise failure

    def string(self, function: Checked, *arguments: Any) -> str:
        """Calls `function`, whose last argument is an out_ string, which is copied and freed."""
        out = c_void_p()
        self.call(function, *arguments, ctypes.byref(out))
        try:
            return _decoded(ctypes.string_at(out.value or 0))
        finally:
            self.run(C.se_string_free, out)

    def run(self, function: Plain, *arguments: Any) -> Any:
        """Calls a function that cannot fail, and returns what it returns."""
        return getattr(self._c, function.name)(*arguments)

    def log_to(self, receive: Any) -> None:
        """Passes log lines to the LogFunction `receive`, which stays alive; None: to nobody.

        When it returns, the previous one is not called again.
        """
        self.run(C.se_log_set, receive or LogFunction(), None)


def _decoded(text: bytes | None) -> str:
    return (text or b"").decode("utf-8", "replace")
