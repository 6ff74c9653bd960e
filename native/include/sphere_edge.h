/* sphere_edge.h: the C API of the sphere-edge runtime. C99, opaque handles, no exception crosses it.
 *
 *   se_text *text = NULL;
 *   if (se_text_open("dist/tiny.host", NULL, &text) != SE_OK) {
 *     fprintf(stderr, "%s\n", se_last_error());
 *     return 1;
 *   }
 *   se_text_generate(text, "Hello", NULL, print_delta, NULL, NULL);
 *   se_text_close(text);
 *
 * Failure: every function that can fail returns an se_status and leaves its results in trailing out_ arguments, which
 * are untouched on failure. se_last_error() then holds one sentence, for the calling thread only.
 *
 * Growth: a program built against this header runs with every later library. Structs that begin with `size` grow at
 * their end: the caller sets it to sizeof(the struct), and the library reads and writes no more than that; what it
 * passes to a callback has the library's own size, which may be larger or smaller than the caller's. Structs without
 * `size` never change. `reserved` bytes are 0 and fill what would be padding. Enums are int32_t; new values come at the
 * end, so expect values that you do not know.
 *
 * Ownership: strings are UTF-8. What a caller passes in stays his and is not used after the call returns, unless the
 * function says otherwise. What a callback receives is valid only during the callback.
 *
 * Threads: each function says so where it is otherwise than this: it may be called from any thread, also while another
 * thread uses the same handle: the later call waits for the earlier one, but up to `sequences` calls on an se_text
 * compute at once. No function on a handle may be called from
 * that handle's own callbacks, except cancel. Callbacks run on the thread of the call. Closing is the last use. */
#ifndef SPHERE_EDGE_H
#define SPHERE_EDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define SE_API
#else
#define SE_API __attribute__((visibility("default")))
#endif

/* Raised when a bundle made for an older runtime could no longer be read. */
#define SE_RUNTIME_ABI 1

/* The same numbers in Python, Kotlin, Swift, the runner's JSON and the server; new ones at the end only. */
typedef int32_t se_status;
enum {
  SE_OK = 0,
  SE_OOM_VRAM = 1,
  SE_OOM_RAM = 2,
  SE_MODEL_CORRUPT = 3,
  SE_TIMEOUT = 4,
  SE_CANCELLED = 5,
  SE_UNSUPPORTED = 6,
  SE_INTERNAL = 7,
  SE_FORMAT_MISMATCH = 8,
  SE_LOAD_FAILED = 9,
  SE_INVALID_ARGUMENT = 10,
  SE_NOT_FOUND = 11,
  SE_STORAGE = 12,
  SE_UNAVAILABLE = 13,
  SE_UNTRUSTED = 14
};

/* Name of a status, e.g. "MODEL_CORRUPT". Static storage. */
SE_API const char *se_status_name(se_status status);

/* Version of this library, e.g. "0.1.0". Static storage. */
SE_API const char *se_version(void);

/* On a CPU without the features that the library was built for (Linux, Android), every call returns
 * SE_FORMAT_MISMATCH, and se_last_error names the missing features; no other code of the library has run by then. */

/* Why the last call on this thread failed, in one sentence; "" if it did not. Valid until this thread's next call. */
SE_API const char *se_last_error(void);

/* What the user can do about it; "" if there is no advice. Same lifetime. */
SE_API const char *se_last_hint(void);

/* Frees a string that a function returned through an out_ argument. NULL is allowed. */
SE_API void se_string_free(char *string);

typedef int32_t se_log_level;
enum { SE_LOG_DEBUG = 0, SE_LOG_INFO = 1, SE_LOG_WARNING = 2, SE_LOG_ERROR = 3 };

/* May be called from any thread; `message` is one line without control characters, valid only during the call. What
 * the status of a call reports anyway is logged at SE_LOG_INFO at most. */
typedef void (*se_log_fn)(se_log_level level, const char *message, void *user_data);
/* NULL turns logging off (the default). Once this returns, the previous function is not called again. Do not call it
 * from inside a log function. */
SE_API void se_log_set(se_log_fn log, void *user_data);

/* This machine and this runtime, as JSON: runtime version and ABI, CPU architecture and features, memory in bytes,
 * backends for compiled models and for GGUF files. The caller frees *out_json with se_string_free. */
SE_API se_status se_system_info(char **out_json);

/* The GPUs of this machine that have a working driver, as JSON: api, name, driver, platform, memory in bytes, whether
 * they compute in float16 and share the CPU's memory; and for each api without a GPU, the reason. Loads the drivers,
 * which may take seconds. Freed with se_string_free. */
SE_API se_status se_gpu_info(char **out_json);

/* What a bundle folder, a .gguf file or a whisper.cpp file contains, as JSON, read without its weights. Freed with
 * se_string_free. */
SE_API se_status se_model_info(const char *path, char **out_json);

/* ---- TextManager ------------------------------------------------------------------------------------------------ */

typedef struct se_text se_text;

typedef struct se_text_open_options {
  size_t size;
  const char *backend; /* "cpu", "opencl", "cuda", "vulkan"; NULL: the bundle's first, or the next one if that fails */
  const char *cache_folder; /* for compiled GPU kernels of this model; NULL: the user's cache folder, if there is one */
  /* Where the compiled code lies if not in the bundle, as an app's native libraries: lib/NAME.so of the bundle as
   * libNAME-HASH.so, with the first 12 digits of its hash, as NAME.so or as libNAME.so, of the size and with the hash
   * that the bundle says. NULL: in the bundle. */
  const char *code_folder;
  /* 0: one per performance core available to this process; of a GGUF model fewer while other programs use the cores */
  int32_t threads;
  uint32_t context_tokens; /* 0: the bundle's context length, or min(4096, the model's own) for a bare .gguf */
  uint32_t sequences;      /* conversations at once, each with a KV cache of its own, at most 64; 0: one */
  bool measure_kernels;    /* se_text_info reports GPU time per kernel; slows the GPU down */
  uint8_t reserved[3];
  /* A second, smaller bundle or .gguf file with the same tokenizer, which drafts what the model then checks: as
   * SE_DRAFT_MODEL, the default of all calls. Its compiled code lies in its bundle. NULL: none. */
  const char *draft_model;
  /* The image encoder of a bare .gguf, a GGUF file; NULL: it reads text only. A bundle has its own. */
  const char *mmproj;
  /* Whose bundles are opened: a public key as PEM, or the text of a file of trusted keys (docs/signing.md). Then every
   * file is hashed, of the draft model's bundle, too; what no trusted key has signed, and a bare .gguf, is refused with
   * SE_UNTRUSTED. NULL: anybody's. */
  const char *trusted_keys;
} se_text_open_options;

/* Opens a bundle folder or a .gguf file. `*out_text` belongs to the caller, who closes it with se_text_close.
 * SE_FORMAT_MISMATCH: the draft model has other tokens; SE_UNSUPPORTED: it cannot draft, or the model not check. */
SE_API se_status se_text_open(const char *path, const se_text_open_options *options, se_text **out_text);

/* Waits for a running call (cancel it first to be quick) and frees everything. NULL is allowed. In a callback of its
 * own call it does nothing but to leave a message for se_last_error; the same holds for the other handles. */
SE_API void se_text_close(se_text *text);

/* The open model, as JSON: engine, backend, family, quantization, vocab_size, context_tokens, threads,
 * weights_bytes, kv_cache_bytes, has_chat_template, load_seconds; `reads_images`: whether chats may have images;
 * `speculates`: whether calls may have drafts; `draft_model_bytes`: weights and KV cache of the draft model; `device`:
 * the GPU's name and driver; `backend_reason`: why `backend` is not the bundle's first choice, empty if it is;
 * `kernels`: a list of name, calls, seconds. Freed with se_string_free. */
SE_API se_status se_text_info(se_text *text, char **out_json);

/* Why an answer ended: the model ended it, or a stop string or token; max_tokens or the context is full; cancelled; the
 * model wants its tools called. */
typedef int32_t se_finish_reason;
enum { SE_FINISH_STOP = 0, SE_FINISH_LENGTH = 1, SE_FINISH_CANCELLED = 2, SE_FINISH_TOOL_CALLS = 3 };

/* Added to the logit of a token before each choice; -INFINITY: never chosen. */
typedef struct se_logit_bias {
  int32_t token_id;
  float bias;
} se_logit_bias;

/* Speculative decoding: tokens are drafted, and the model checks several in one pass. Each is still chosen from the
 * model's own logits, so the text is the one that it would be without, and comes sooner where drafts are right. Off;
 * drafts repeat the prompt and the answer so far (prompt lookup), for answers that quote, edit or continue them; drafts
 * come from the draft model of the open options. */
typedef int32_t se_draft;
enum { SE_DRAFT_OFF = 0, SE_DRAFT_PROMPT_LOOKUP = 1, SE_DRAFT_MODEL = 2 };

#define SE_SEED_RANDOM 0xFFFFFFFFu

/* An image of a chat: rows from the top, without gaps, 3 bytes per pixel in the order RGB; turned as people see it.
 * At most 67,108,864 pixels, and 16,384 on a side. */
typedef struct se_chat_image {
  const uint8_t *pixels;
  uint32_t width;
  uint32_t height;
} se_chat_image;

/* Begin with se_text_default_options: for some fields 0 is not the neutral value. */
typedef struct se_text_generate_options {
  size_t size;

  uint32_t max_tokens;     /* 0: until the model stops or the context is full */
  uint32_t timeout_ms;     /* 0: none; otherwise SE_TIMEOUT after this time */
  const char *const *stop; /* generation stops before the first of these strings; they are not part of the output */
  size_t stop_count;
  const int32_t *stop_token_ids; /* generation stops before the first of these tokens, too */
  size_t stop_token_count;

  const char *grammar;     /* GBNF, or NULL; not together with json_schema */
  const char *json_schema; /* JSON schema, or NULL */
  const se_logit_bias *logit_bias;
  size_t logit_bias_count;

  uint32_t seed;     /* SE_SEED_RANDOM: a random one, reported in the result */
  float temperature; /* 0: greedy */
  int32_t top_k;     /* 0: off */
  float top_p;       /* 1: off */
  float min_p;       /* 0: off */
  float
      xtc_probability; /* chance that all but the least likely of the tokens above xtc_threshold are left out; 0: off */
  float xtc_threshold; /* above 0.5: off */
  float repeat_penalty;    /* 1: off */
  float presence_penalty;  /* subtracted from the logit of a token that occurred; 0: off */
  float frequency_penalty; /* subtracted once per occurrence; 0: off */
  int32_t repeat_last_n;   /* number of recent tokens, the prompt's too, that these three penalties apply to */

  /* DRY: a token that would continue a repetition of n tokens, n >= dry_allowed_length, loses
   * dry_multiplier * dry_base ^ (n - dry_allowed_length) of its logit. */
  float dry_multiplier; /* 0: off */
  float dry_base;
  int32_t dry_allowed_length;
  int32_t dry_last_n;      /* number of recent tokens in which repetitions are looked for; 0: all of the context */
  bool ignore_end_of_text; /* continue to max_tokens past the end-of-text token (for benchmarks) */
  bool logprobs;           /* deltas have the log probability of each token */
  uint8_t top_logprobs;    /* and of this many of the likeliest ones, at most 20 */
  uint8_t reserved[1];
  const char *const *dry_sequence_breakers; /* no repetition goes on across these; NULL: newline, `:`, `"`, `*` */
  size_t dry_sequence_breaker_count;

  const char *
      sequence_key; /* name of a conversation, which keeps its sequence; NULL: the one with the longest common prefix */
  uint64_t call_id; /* for se_text_cancel_call; 0: none */

  se_draft draft;         /* SE_UNSUPPORTED for models that cannot go back over wrong drafts (recurrent ones) */
  uint32_t draft_tokens;  /* the most that are drafted at once, at most 31; fewer while drafts are wrong. 0: only as
                             long as they save time, by the clock, which is different on every machine */
  const char *prediction; /* what the answer may repeat besides the prompt, such as a file to edit; with prompt lookup
                             only; NULL: nothing */
  const se_chat_image *images; /* of the messages, in order, at most 64; for se_text_chat */
  size_t image_count;
} se_text_generate_options;

/* The bundle's own sampling defaults (max_tokens 0, no stops, SE_SEED_RANDOM; drafts of the draft model if there is
 * one), for callers that change only some of the fields. Sets `size` to sizeof(the caller's struct), which it is given.
 */
SE_API se_status se_text_default_options(se_text *text, se_text_generate_options *out_options, size_t size);

/* How a call went. `out_result` of the functions below may be NULL, and is also filled when a call is cancelled or
 * times out. */
typedef struct se_text_result {
  size_t size; /* set by the caller */
  se_finish_reason finish_reason;
  int32_t stop_index;         /* which one of `stop` ended the answer; -1: none of them */
  uint32_t prompt_tokens;     /* all tokens of the prompt */
  uint32_t cached_tokens;     /* of these, reused from the KV cache of an earlier call */
  uint32_t completion_tokens; /* tokens sampled, without the one that ended the answer */
  uint32_t reasoning_tokens;  /* of these, tokens of the reasoning */
  uint32_t seed;              /* the seed that was used */
  uint8_t reserved[4];
  double prefill_seconds;     /* from the first to the last prompt token's logits */
  double first_token_seconds; /* from the call to the first sampled token */
  double decode_seconds;      /* from the first sampled token to the last */
  char backend[16];           /* that computed it, as in the open options */
  uint32_t draft_tokens;      /* drafted tokens that the model checked */
  uint32_t accepted_tokens;   /* of these, tokens of the answer */
} se_text_result;

/* The log probability of a sampled token, in the distribution that the model computed: before temperature, penalties,
 * bias and grammar. */
typedef struct se_token_logprob {
  int32_t token_id;
  float logprob;     /* natural logarithm */
  const char *bytes; /* of the token, not NUL-terminated; may be only a part of a character */
  size_t byte_count;
  const struct se_token_logprob
      *top; /* the likeliest tokens at this place, without `top` of their own; NULL if top_logprobs is 0 */
  size_t top_count;
} se_token_logprob;

/* Text of the answer; text of the reasoning before it; a tool call begins (its name and id); a piece of its arguments,
 * which together are a JSON document; it ends. */
typedef int32_t se_delta_kind;
enum {
  SE_DELTA_TEXT = 0,
  SE_DELTA_REASONING = 1,
  SE_DELTA_TOOL_CALL_BEGIN = 2,
  SE_DELTA_TOOL_CALL_ARGUMENTS = 3,
  SE_DELTA_TOOL_CALL_END = 4
};

/* A piece of the answer. */
typedef struct se_text_delta {
  size_t size;
  se_delta_kind kind;
  uint32_t tool_index; /* of a tool call, from 0 */
  const char *text;    /* whole UTF-8 characters, not NUL-terminated; may be empty */
  size_t text_bytes;
  const char *tool_call_id; /* NULL unless a tool call begins */
  const char *tool_name;
  const se_token_logprob *logprobs; /* of the tokens since the last delta, with the option logprobs */
  size_t logprob_count;             /* over all deltas of a call: completion_tokens */
} se_text_delta;

/* Called for each piece. Return false to stop; the call then returns SE_CANCELLED with finish reason
 * SE_FINISH_CANCELLED. */
typedef bool (*se_text_delta_fn)(const se_text_delta *delta, void *user_data);

/* Continues `prompt`. The deltas are all SE_DELTA_TEXT. `on_delta` may be NULL. */
SE_API se_status se_text_generate(se_text *text, const char *prompt, const se_text_generate_options *options,
                                  se_text_delta_fn on_delta, void *user_data, se_text_result *out_result);

/* The same for a prompt of token ids (no special tokens are added). */
SE_API se_status se_text_generate_tokens(se_text *text, const int32_t *token_ids, size_t token_count,
                                         const se_text_generate_options *options, se_text_delta_fn on_delta,
                                         void *user_data, se_text_result *out_result);

/* Generates the reply to a message list, a JSON array of {"role": "system"|"user"|"assistant", "content": "…"}, with
 * the model's own chat template; or to {"messages": [such a list], "chat_template_kwargs": {"enable_thinking": false}},
 * with variables for the template. The prefix that the prompt shares with the previous call is not computed again.
 * The `content` of a user or tool message may be a list of parts, {"type": "text", "text": "…"} and {"type": "image"};
 * the images are in the options, one for each such part, and are computed again only if their pixels changed.
 * SE_UNSUPPORTED: an image for a model that reads text only (see `reads_images` of se_text_info). */
SE_API se_status se_text_chat(se_text *text, const char *messages_json, const se_text_generate_options *options,
                              se_text_delta_fn on_delta, void *user_data, se_text_result *out_result);

/* How many tokens the prompt has that se_text_chat would compute for these messages, also of the images; of the
 * options, which may be NULL, only those are read. */
SE_API se_status se_text_count_chat(se_text *text, const char *messages_json, const se_text_generate_options *options,
                                    size_t *out_tokens);

/* The prompt that se_text_chat would use for these messages; where it has an image, `<__media__>`. Freed with
 * se_string_free. */
SE_API se_status se_text_render_chat(se_text *text, const char *messages_json, char **out_prompt);

/* Logits of every position: out_logits[token_count * vocab_size], float32, row i after token i.
 * SE_INVALID_ARGUMENT if `out_count`, the size of out_logits in floats, is too small or the tokens do not fit into the
 * context. */
SE_API se_status se_text_logits(se_text *text, const int32_t *token_ids, size_t token_count, float *out_logits,
                                size_t out_count);

/* Logits after the last of these tokens: out_logits[vocab_size], float32, computed as generation computes them. The
 * prefix shared with the previous call is not computed again; se_text_reset clears it. */
SE_API se_status se_text_next_logits(se_text *text, const int32_t *token_ids, size_t token_count, float *out_logits,
                                     size_t out_count);

/* One tensor argument of a kernel, in rows of `columns` float32. */
typedef struct se_kernel_tensor {
  const float *values;
  size_t rows;
  size_t columns;
} se_kernel_tensor;

/* Called after each kernel of a compiled model with its float tensors of two or more dimensions in the order of its
 * arguments, the results last. Valid only during the call; called on the thread of the call that is traced. */
typedef void (*se_trace_fn)(const char *kernel, const se_kernel_tensor *tensors, size_t tensor_count, void *user_data);

/* Sets the trace callback, which slows the model down; NULL removes it. For finding a kernel that computes wrong
 * values. SE_UNSUPPORTED for engines without tracing. */
SE_API se_status se_text_set_trace(se_text *text, se_trace_fn on_kernel, void *user_data);

/* Natural-log probabilities of token i+1 after tokens 0..i: out_log_probabilities[token_count - 1]. */
SE_API se_status se_text_score(se_text *text, const int32_t *token_ids, size_t token_count,
                               float *out_log_probabilities);

/* How the vectors of a text's tokens become one: as the model says (mean if it says nothing), their mean, that of the
 * first token, that of the last one. */
typedef int32_t se_pooling;
enum { SE_POOLING_MODEL = 0, SE_POOLING_MEAN = 1, SE_POOLING_CLS = 2, SE_POOLING_LAST = 3 };

/* All bytes 0 are the defaults. */
typedef struct se_text_embed_options {
  size_t size;
  uint64_t call_id; /* for se_text_cancel_call; 0: none */
  se_pooling pooling;
  uint32_t timeout_ms; /* 0: none; otherwise SE_TIMEOUT after this time */
  bool raw;            /* vectors as they are; otherwise of length 1 */
  bool truncate;       /* cut off texts that are too long; otherwise they are refused */
  uint8_t reserved[6];
} se_text_embed_options;

typedef struct se_text_embed_result {
  size_t size;        /* set by the caller */
  uint64_t tokens;    /* of all texts */
  uint32_t truncated; /* texts that were cut off */
  uint8_t reserved[4];
  double seconds;
} se_text_embed_result;

/* Embeddings: a vector of `embedding_size` numbers (of se_text_info; 0: the model makes none, SE_UNSUPPORTED) for each
 * text, one after the other in out_vectors, which holds `out_count` floats. Text is never read as special tokens.
 * SE_INVALID_ARGUMENT: a text of no tokens, or of more than `embed_tokens` of se_text_info. */
SE_API se_status se_text_embed(se_text *text, const char *const *texts, size_t text_count,
                               const se_text_embed_options *options, float *out_vectors, size_t out_count,
                               se_text_embed_result *out_result);

/* Writes a conversation to a file: its tokens with their keys and values, so that it goes on later where it stopped,
 * also in another process. `sequence_key`: as in the options of the calls that it had; NULL: that of the last call.
 * `out_tokens` (may be NULL) receives its length. The file is hashed and bound to the model; whoever can read it can
 * read the conversation. SE_NOT_FOUND: no such conversation; SE_UNSUPPORTED: a backend or a kind of model of which none
 * can be saved, or a conversation with images; SE_STORAGE. */
SE_API se_status se_text_save(se_text *text, const char *sequence_key, const char *path, size_t *out_tokens);

/* Reads such a file. Calls whose prompt begins with these tokens compute only the rest. SE_MODEL_CORRUPT: a damaged or
 * other file; SE_FORMAT_MISMATCH: saved with another model or backend; SE_INVALID_ARGUMENT: too long for the context.
 */
SE_API se_status se_text_restore(se_text *text, const char *sequence_key, const char *path, size_t *out_tokens);

/* Writes at most `capacity` ids and always the full count to `out_count`: call with capacity 0 to get the count.
 * add_special: add begin/end tokens as the model expects; parse_special: `<|im_end|>` in the text is that token. */
SE_API se_status se_text_tokenize(se_text *text, const char *utf8, size_t utf8_bytes, bool add_special,
                                  bool parse_special, int32_t *out_ids, size_t capacity, size_t *out_count);

/* The text of these tokens; bytes that are not UTF-8 become U+FFFD. Freed with se_string_free. A token may be the NUL
 * character: `out_bytes`, which may be NULL, receives the length without the terminating NUL. */
SE_API se_status se_text_detokenize(se_text *text, const int32_t *token_ids, size_t token_count, bool keep_special,
                                    char **out_utf8, size_t *out_bytes);

/* Makes the running calls on `text` return SE_CANCELLED soon; does nothing if none is running. Any thread, also a
 * callback. */
SE_API void se_text_cancel(se_text *text);

/* The same for the call with this `call_id` only. */
SE_API void se_text_cancel_call(se_text *text, uint64_t call_id);

/* Clears the KV caches, so that the next calls prefill their whole prompts; that of a running call when it ends. */
SE_API se_status se_text_reset(se_text *text);

/* Opens only a vocabulary (tokenizer.gguf), for comparing tokenizers without weights: tokenize and detokenize work,
 * everything else returns SE_UNSUPPORTED. */
SE_API se_status se_text_open_vocabulary(const char *path, se_text **out_text);

/* ---- AudioManager ----------------------------------------------------------------------------------------------- */

/* Speech recognition with Whisper models. A runtime built without audio returns SE_UNSUPPORTED. */
typedef struct se_audio se_audio;

/* Samples are float32, mono, full scale -1 to 1, at 16 kHz. */
#define SE_AUDIO_SAMPLE_RATE 16000

typedef struct se_audio_open_options {
  size_t size;
  const char *vad_model; /* a Silero VAD in whisper.cpp's format; NULL: the bundle's own, if it has one */
  int32_t threads;       /* 0: one per performance core available to this process */
  uint8_t reserved[4];
  const char *trusted_keys; /* as in se_text_open_options; a vad_model of the caller's is not checked */
} se_audio_open_options;

/* Opens a bundle folder of the task audio, or a whisper.cpp model file (ggml .bin), which is fully checked before it is
 * used. `*out_audio` belongs to the caller, who closes it with se_audio_close. */
SE_API se_status se_audio_open(const char *path, const se_audio_open_options *options, se_audio **out_audio);

/* Waits for a running call (cancel it first to be quick) and frees everything. NULL is allowed. */
SE_API void se_audio_close(se_audio *audio);

/* The open model, as JSON: engine, backend, family, quantization, multilingual, languages, sample_rate, mel_bins,
 * vocab_size, threads, has_vad, weights_bytes, load_seconds. Freed with se_string_free. */
SE_API se_status se_audio_info(se_audio *audio, char **out_json);

/* The word and its `text` belong to the library; valid only during the callback. */
typedef struct se_audio_word {
  int64_t start_ms;
  int64_t end_ms;
  const char *text; /* with the space before it */
  float probability;
  uint8_t reserved[4];
} se_audio_word;

typedef struct se_audio_token {
  int32_t id;
  float probability;
  const char *text; /* bytes that are not UTF-8 by themselves became U+FFFD */
} se_audio_token;

typedef struct se_audio_segment {
  size_t size;
  int64_t start_ms;
  int64_t end_ms;
  const char *text;     /* UTF-8, with the space before it */
  const char *language; /* "en" */
  float probability;    /* mean over its tokens */
  float no_speech_probability;
  const se_audio_word *words; /* with word_timestamps, else NULL */
  size_t word_count;
  const se_audio_token *tokens; /* without timestamps and other special tokens */
  size_t token_count;
} se_audio_segment;

/* The segments of the transcript in order, each as soon as it is known. The segment is valid only during the call.
 * Called on the caller's thread. Return false to stop; the call then returns SE_CANCELLED. */
typedef bool (*se_audio_segment_fn)(const se_audio_segment *segment, void *user_data);

/* The fraction of the audio that is done, 0 to 1. It rises once per window of at most 30 s, and is reported again about
 * every 100 ms in between, so that returning false stops the call as soon as se_audio_cancel does. Otherwise as above.
 */
typedef bool (*se_audio_progress_fn)(float done, void *user_data);

typedef struct se_audio_transcribe_options {
  size_t size;
  const char *language;             /* "de"; NULL or "auto": the likeliest in the first 30 s */
  const char *prompt;               /* words and names to expect, or the preceding transcript; NULL: none */
  se_audio_progress_fn on_progress; /* or NULL; called with the user_data of the segment function */
  float temperature;                /* 0: greedy */
  float temperature_step;           /* added after each failed attempt, up to 1; 0: only one attempt */
  int32_t beam_size;                /* 0 or 1: greedy; at most 8 */
  uint32_t max_segment_characters;  /* 0: no limit; segments are split at the end of a word */
  uint32_t timeout_ms;              /* 0: none; otherwise SE_TIMEOUT after this time */
  bool translate;                   /* into English */
  bool word_timestamps;             /* segments have words */
  bool vad;                         /* transcribe only detected speech; needs a VAD model */
  bool ignore_previous_text; /* each 30 s are transcribed without the text before them, which may lead to loops */
} se_audio_transcribe_options;

/* The defaults: language auto-detected, greedy, temperature 0 with steps of 0.2. Sets `size` to sizeof(the caller's
 * struct), which it is given. */
SE_API se_status se_audio_default_options(se_audio_transcribe_options *out_options, size_t size);

typedef struct se_audio_result {
  size_t size;                /* set by the caller */
  char language[8];           /* that of the transcript, "en" */
  float language_probability; /* 1 if the caller gave the language */
  uint32_t segments;
  double audio_seconds;         /* length of the input */
  double first_segment_seconds; /* from the call to the first segment; 0 if there is none */
  double total_seconds;         /* of the whole call */
  double encode_seconds;        /* of which in the encoder */
  double decode_seconds;        /* and in the decoder */
} se_audio_result;

/* Transcribes samples as described at SE_AUDIO_SAMPLE_RATE, at most 4 hours per call; the same input gives the same
 * transcript, whatever was transcribed before. Less than a tenth of a second gives no segment.
 * `out_result` (may be NULL) is also filled when the call is cancelled or times out.
 * SE_INVALID_ARGUMENT: no samples, a sample that is not finite, a language that is unknown or that the model lacks. */
SE_API se_status se_audio_transcribe(se_audio *audio, const float *samples, size_t sample_count,
                                     const se_audio_transcribe_options *options, se_audio_segment_fn on_segment,
                                     void *user_data, se_audio_result *out_result);

/* Makes the running call on `audio` return SE_CANCELLED soon; does nothing if none is running. Any thread. */
SE_API void se_audio_cancel(se_audio *audio);

/* Live audio: samples are pushed as they arrive, and partial transcripts come back while people are speaking. */
typedef struct se_audio_stream se_audio_stream;

typedef struct se_audio_stream_options {
  size_t size;
  const se_audio_transcribe_options *transcribe; /* NULL: defaults with only one attempt; on_progress is not called */
  uint32_t step_ms;                              /* new audio between two transcriptions, 100 to 10000 */
  uint32_t silence_ms;                           /* a segment is final this long after its end, 0 to 10000 */
  uint32_t longest_ms; /* a segment is final this long after its start at the latest, 2000 to 25000 */
  uint8_t reserved[4];
} se_audio_stream_options;

/* Steps of 1000 ms, final after 800 ms, segments of at most 15 s. Sets `size` as above. */
SE_API se_status se_audio_stream_default_options(se_audio_stream_options *out_options, size_t size);

/* Partial: the transcript of the audio since the last final segment so far; each one replaces the one before. Final:
 * does not change any more. Times are from the start of the stream. Called inside push and finish, on their thread.
 * Return false to stop; the call then returns SE_CANCELLED. */
typedef bool (*se_audio_stream_fn)(const se_audio_segment *segment, bool is_final, void *user_data);

/* A stream uses `audio` while push or finish runs; close it before `audio`. `options` are copied, with their strings.
 * Belongs to the caller, who closes it with se_audio_stream_close. One thread at a time may use a stream. */
SE_API se_status se_audio_stream_open(se_audio *audio, const se_audio_stream_options *options,
                                      se_audio_stream_fn on_segment, void *user_data, se_audio_stream **out_stream);

/* Adds samples as described at SE_AUDIO_SAMPLE_RATE. Transcribes once per full step_ms, and returns immediately if
 * there is no full step. A segment is final at most longest_ms + step_ms of audio after it started. */
SE_API se_status se_audio_stream_push(se_audio_stream *stream, const float *samples, size_t sample_count);

/* Transcribes the rest of the audio; all of it becomes final. The stream is then empty and starts again at time 0. */
SE_API se_status se_audio_stream_finish(se_audio_stream *stream);

/* Frees it; what was not finished is dropped. NULL is allowed. */
SE_API void se_audio_stream_close(se_audio_stream *stream);

/* ---- ImageManager ----------------------------------------------------------------------------------------------- */

/* Image generation with diffusion models. A runtime built without images returns SE_UNSUPPORTED. */
typedef struct se_image se_image;

typedef struct se_image_open_options {
  size_t size;
  int32_t threads; /* 0: one per performance core available to this process */
  uint8_t reserved[4];
  const char *trusted_keys; /* as in se_text_open_options; LoRAs are files of the caller's and not checked */
} se_image_open_options;

/* Opens a bundle folder of the task image; all parts of the model are checked before they are used. `*out_image`
 * belongs to the caller, who closes it with se_image_close. */
SE_API se_status se_image_open(const char *path, const se_image_open_options *options, se_image **out_image);

/* Waits for a running call (cancel it first to be quick) and frees everything. NULL is allowed. */
SE_API void se_image_close(se_image *image);

/* The open model, as JSON: engine, backend, family, quantization, parameters, width, height, steps, cfg_scale,
 * guidance (the model's defaults), size_multiple, reads_images (takes an initial image), inpaints (needs an initial
 * image and a mask), threads, weights_bytes, load_seconds. Freed with se_string_free. */
SE_API se_status se_image_info(se_image *image, char **out_json);

/* Rows from the top, without gaps; `pixels` belong to the library and are valid only during the callback. */
typedef struct se_image_bitmap {
  size_t size;
  uint32_t width;
  uint32_t height;
  uint32_t channels; /* bytes per pixel: 3, in the order RGB */
  uint32_t seed;     /* generates this image again on its own */
  const uint8_t *pixels;
} se_image_bitmap;

/* A finished image, in the order of the batch. Called on the caller's thread. Return false to stop; the call then
 * returns SE_CANCELLED. */
typedef bool (*se_image_bitmap_fn)(const se_image_bitmap *bitmap, void *user_data);

typedef struct se_image_progress {
  size_t size;
  uint32_t image; /* index in the batch, from 0 */
  uint32_t images;
  uint32_t step; /* steps done of this image */
  uint32_t steps;
  const se_image_bitmap *preview; /* small and approximate, or NULL */
} se_image_progress;

/* Called after each step. Otherwise as above. */
typedef bool (*se_image_progress_fn)(const se_image_progress *progress, void *user_data);

typedef struct se_image_lora {
  const char *path; /* a safetensors or GGUF file */
  float strength;
  uint8_t reserved[4];
} se_image_lora;

/* Begin with se_image_default_options. */
typedef struct se_image_generate_options {
  size_t size;
  const char *negative_prompt; /* what to avoid; needs a cfg_scale other than 1; NULL: none */
  const char *sampler;  /* "euler", "euler_a", "heun", "dpm2", "dpm++2s_a", "dpm++2m", "dpm++2mv2", "ipndm", "ipndm_v",
                           "lcm", "ddim_trailing", "tcd", "res_multistep", "res_2s", "er_sde"; NULL: the model's own */
  const char *schedule; /* "discrete", "karras", "exponential", "ays", "gits", "sgm_uniform", "simple", "smoothstep",
                           "kl_optimal", "lcm", "bong_tangent"; NULL: the model's own */
  const uint8_t *init;  /* initial image, 3 bytes per pixel, width x height pixels; NULL: start from noise */
  const uint8_t *mask; /* 1 byte per pixel, same size: white is generated, black is kept; needs `init`; NULL: no mask */
  const se_image_lora *loras;
  size_t lora_count;                /* at most 16 */
  se_image_progress_fn on_progress; /* or NULL; called with the user_data of the bitmap function */
  uint32_t width;                   /* pixels, multiples of the model's size_multiple, at most 4096 */
  uint32_t height;
  uint32_t init_width; /* size of `init`, for checking */
  uint32_t init_height;
  uint32_t mask_width;
  uint32_t mask_height;
  uint32_t steps;      /* 1 to 500 */
  uint32_t seed;       /* SE_SEED_RANDOM: a random one, reported in the result; below 2^31 */
  uint32_t batch;      /* number of images, with consecutive seeds, at most 64 */
  uint32_t timeout_ms; /* 0: none; otherwise SE_TIMEOUT after this time */
  float cfg_scale;     /* classifier-free guidance; 1: off, ignores the negative prompt and is twice as fast */
  float guidance;      /* distilled guidance, for models trained with it */
  float strength;      /* how much `init` is changed, above 0 up to 1 */
  bool vae_tiling;     /* decode in tiles: less memory, a little slower */
  bool preview;        /* progress has previews, for families that support them */
  uint8_t reserved[2];
} se_image_generate_options;

/* The model's own size, steps and scales; SE_SEED_RANDOM, one image, strength 0.75. Sets `size` to sizeof(the caller's
 * struct), which it is given. */
SE_API se_status se_image_default_options(se_image *image, se_image_generate_options *out_options, size_t size);

typedef struct se_image_result {
  size_t size;   /* set by the caller */
  uint32_t seed; /* of the first image */
  uint32_t images;
  uint32_t steps; /* done in total */
  uint8_t reserved[4];
  double total_seconds;
  double step_seconds;       /* mean */
  double first_step_seconds; /* from the call to the end of the first step */
} se_image_result;

/* Generates images; the same options with the same seed give the same image. A process generates one image at a time:
 * a call on another handle waits.
 * SE_OOM_RAM: more memory is needed than is free, detected before it is allocated; SE_INVALID_ARGUMENT: a size, number
 * or name out of range, a prompt of more than 8192 bytes, an initial image or mask of another size. */
SE_API se_status se_image_generate(se_image *image, const char *prompt, const se_image_generate_options *options,
                                   se_image_bitmap_fn on_image, void *user_data, se_image_result *out_result);

/* Makes the running call on `image` return SE_CANCELLED soon; does nothing if none is running. Any thread. */
SE_API void se_image_cancel(se_image *image);

typedef struct se_image_part {
  const char *path;   /* a safetensors or GGUF file */
  const char *prefix; /* prepended to the names of its tensors, as "vae."; "" for a whole checkpoint */
} se_image_part;

/* Return false to stop; the call then returns SE_CANCELLED. */
typedef bool (*se_image_convert_fn)(uint64_t done_bytes, uint64_t total_bytes, void *user_data);

/* Merges the parts of an image model into the single file that goes into a bundle. `type`: "q8_0", "q4_0", "q4_K", …
 * for the matrices of diffusion model and text encoders, NULL to leave them unchanged. `*out_json` has family,
 * parameters, quantization, tensor_bytes, size_multiple, has_encoder, has_guidance, vae_width, patch, heads, width and
 * tokenizer_files (the vocab and merges files that the family needs); freed with se_string_free. */
SE_API se_status se_image_convert(const se_image_part *parts, size_t part_count, const char *type, const char *output,
                                  se_image_convert_fn on_progress, void *user_data, char **out_json);

#ifdef __cplusplus
}
#endif
#endif
