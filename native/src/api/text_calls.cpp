// The C functions of TextManager: check the arguments, call the manager inside guard, copy results out.
#include <cstring>
#include <random>

#include "api/arguments.h"
#include "api/handle.h"
#include "base/shared_call_guard.h"
#include "base/utf8.h"
#include "formats/trusted_keys.h"
#include "sphere_edge.h"
#include "text/logprobs.h"
#include "text/text_manager.h"

struct se_text : se::Handle<se::TextManager, se::SharedCallGuard> {
  using Handle::Handle;
};

namespace se {

// Found by guard_with_result through its argument, which an unnamed namespace would hide.
se_text_result exported(const TextResult &result) {
  se_text_result out{};
  out.finish_reason = static_cast<se_finish_reason>(result.finish_reason);
  out.stop_index = result.stop_index;
  out.prompt_tokens = result.prompt_tokens;
  out.cached_tokens = result.cached_tokens;
  out.completion_tokens = result.completion_tokens;
  out.reasoning_tokens = result.reasoning_tokens;
  out.seed = result.seed;
  out.prefill_seconds = result.prefill_seconds;
  out.first_token_seconds = result.first_token_seconds;
  out.decode_seconds = result.decode_seconds;
  out.draft_tokens = result.draft_tokens;
  out.accepted_tokens = result.accepted_tokens;
  std::strncpy(out.backend, result.backend.c_str(), sizeof(out.backend) - 1);
  return out;
}

se_text_embed_result exported(const EmbedResult &result) {
  se_text_embed_result out{};
  out.tokens = result.tokens;
  out.truncated = result.truncated;
  out.seconds = result.seconds;
  return out;
}

namespace {

using TokenIds = std::span<const int32_t>;

static_assert(static_cast<int>(FinishReason::stop) == SE_FINISH_STOP);
static_assert(static_cast<int>(FinishReason::length) == SE_FINISH_LENGTH);
static_assert(static_cast<int>(FinishReason::cancelled) == SE_FINISH_CANCELLED);
static_assert(static_cast<int>(FinishReason::tool_calls) == SE_FINISH_TOOL_CALLS);
static_assert(static_cast<int>(DeltaKind::text) == SE_DELTA_TEXT);
static_assert(static_cast<int>(DeltaKind::reasoning) == SE_DELTA_REASONING);
static_assert(static_cast<int>(DeltaKind::tool_call_begin) == SE_DELTA_TOOL_CALL_BEGIN);
static_assert(static_cast<int>(DeltaKind::tool_call_arguments) == SE_DELTA_TOOL_CALL_ARGUMENTS);
static_assert(static_cast<int>(DeltaKind::tool_call_end) == SE_DELTA_TOOL_CALL_END);

static_assert(static_cast<int>(DraftSource::off) == SE_DRAFT_OFF);
static_assert(static_cast<int>(DraftSource::prompt_lookup) == SE_DRAFT_PROMPT_LOOKUP);
static_assert(static_cast<int>(DraftSource::model) == SE_DRAFT_MODEL);

constexpr size_t kMostTopLogprobs = 20;

TokenIds tokens_argument(const int32_t *token_ids, size_t count) {
  return span_argument(token_ids, count, "token_ids");
}

void check_room(size_t floats, size_t rows, size_t vocabulary) {
  require(rows <= floats / vocabulary, "out_logits holds " + ticked(floats) + " floats, and " + ticked(rows) +
                                           " rows of " + ticked(vocabulary) + " do not fit");
}

se_text_generate_options defaults_of(const TextManager &manager) {
  const SamplingDefaults &sampling = manager.sampling_defaults();
  const SamplingOptions others;
  se_text_generate_options options{};
  options.size = sizeof(options);
  options.seed = SE_SEED_RANDOM;
  options.temperature = sampling.temperature;
  options.top_k = sampling.top_k;
  options.top_p = sampling.top_p;
  options.min_p = sampling.min_p;
  options.repeat_penalty = sampling.repeat_penalty;
  options.repeat_last_n = others.repeat_last_n;
  options.xtc_threshold = others.xtc_threshold;
  options.dry_base = others.dry.base;
  options.dry_allowed_length = others.dry.allowed_length;
  options.draft = manager.has_draft() ? SE_DRAFT_MODEL : SE_DRAFT_OFF;
  return options;
}

struct Strings {
  const char *const *items;
  size_t count;
  const char *name;
};

// None of them empty.
std::vector<std::string> strings_argument(const Strings &given) {
  std::vector<std::string> strings;
  for (const char *item : span_argument(given.items, given.count, given.name)) {
    const std::string &string = strings.emplace_back(string_argument(item, given.name));
    require(!string.empty(), std::string(given.name) + " is empty");
    require(to_utf8(string) == string, std::string(given.name) + " is not valid UTF-8");
  }
  return strings;
}

SamplingOptions sampling_of(const se_text_generate_options &options) {
  SamplingOptions sampling;
  sampling.seed = options.seed;
  // A seed that can be reported and used again.
  while (sampling.seed == SE_SEED_RANDOM) sampling.seed = std::random_device{}();
  sampling.temperature = options.temperature;
  sampling.top_k = options.top_k;
  sampling.top_p = options.top_p;
  sampling.min_p = options.min_p;
  sampling.xtc_probability = options.xtc_probability;
  sampling.xtc_threshold = options.xtc_threshold;
  sampling.repeat_penalty = options.repeat_penalty;
  sampling.presence_penalty = options.presence_penalty;
  sampling.frequency_penalty = options.frequency_penalty;
  sampling.repeat_last_n = options.repeat_last_n;
  sampling.dry.multiplier = options.dry_multiplier;
  sampling.dry.base = options.dry_base;
  sampling.dry.allowed_length = options.dry_allowed_length;
  sampling.dry.last_n = options.dry_last_n;
  if (options.dry_sequence_breakers != nullptr) {
    sampling.dry.sequence_breakers =
        strings_argument({options.dry_sequence_breakers, options.dry_sequence_breaker_count, "a DRY sequence breaker"});
  }
  for (const se_logit_bias &one : span_argument(options.logit_bias, options.logit_bias_count, "logit_bias")) {
    sampling.logit_bias.push_back({one.token_id, one.bias});
  }
  sampling.grammar.text = text_or_empty(options.grammar);
  return sampling;
}

DraftSource draft_of(const se_text_generate_options &options) {
  require(options.draft >= SE_DRAFT_OFF && options.draft <= SE_DRAFT_MODEL,
          "no such draft: " + ticked(std::to_string(options.draft)));
  require(options.draft_tokens <= kMostDraftTokens, "draft_tokens is out of range: " + ticked(options.draft_tokens),
          "at most " + ticked(kMostDraftTokens));
  return static_cast<DraftSource>(options.draft);
}

TextRequest request_of(const se_text_generate_options &options) {
  require(options.top_logprobs <= kMostTopLogprobs,
          "top_logprobs is above 20: " + ticked(std::to_string(options.top_logprobs)));
  TextRequest request;
  request.max_tokens = options.max_tokens;
  request.sampling = sampling_of(options);
  require(options.grammar == nullptr || options.json_schema == nullptr, "both grammar and json_schema are given",
          "give one of them");
  if (options.json_schema != nullptr) request.json_schema = options.json_schema;
  request.stops = strings_argument({options.stop, options.stop_count, "a stop string"});
  const TokenIds stop_tokens = span_argument(options.stop_token_ids, options.stop_token_count, "stop_token_ids");
  request.stop_tokens.assign(stop_tokens.begin(), stop_tokens.end());
  request.ignore_end_of_text = options.ignore_end_of_text;
  if (options.logprobs) request.top_logprobs = options.top_logprobs;
  request.sequence_key = text_or_empty(options.sequence_key);
  request.draft = draft_of(options);
  request.draft_tokens = options.draft_tokens;
  request.prediction = text_or_empty(options.prediction);
  require(options.prediction == nullptr || request.draft == DraftSource::prompt_lookup,
          "a prediction is given, and no drafts by prompt lookup", "ask for them, or leave it out");
  return request;
}

se_token_logprob exported(const TokenLogprob &one) {
  return {one.id, one.logprob, one.bytes.data(), one.bytes.size(), nullptr, 0};
}

std::vector<ChatImage> images_of(const se_text_generate_options &options) {
  std::vector<ChatImage> images;
  for (const se_chat_image &one : span_argument(options.images, options.image_count, "images")) {
    const size_t bytes = size_t{one.width} * one.height * 3;
    images.push_back({one.width, one.height, span_argument(one.pixels, bytes, "the pixels of an image")});
  }
  return images;
}

EmbedRequest request_of(const se_text_embed_options &options) {
  constexpr const char *kPoolings[] = {"", "mean", "cls", "last"};
  require(options.pooling >= SE_POOLING_MODEL && options.pooling <= SE_POOLING_LAST,
          "no such pooling: " + ticked(std::to_string(options.pooling)));
  return {kPoolings[options.pooling], !options.raw, options.truncate};
}

// Calls `pass_on` with the C struct of a delta, which lives as long as that.
template <typename PassOn>
bool with_exported(const TextDelta &delta, PassOn &&pass_on) {
  std::vector<std::vector<se_token_logprob>> tops;
  std::vector<se_token_logprob> logprobs;
  for (const TokenLogprob &one : delta.logprobs) {
    std::vector<se_token_logprob> &top = tops.emplace_back();
    for (const TokenLogprob &likely : one.top) top.push_back(exported(likely));
    se_token_logprob &chosen = logprobs.emplace_back(exported(one));
    chosen.top = top.empty() ? nullptr : top.data();
    chosen.top_count = top.size();
  }
  const bool begins = delta.kind == DeltaKind::tool_call_begin;
  const std::string id(delta.tool_call_id), name(delta.tool_name);
  se_text_delta out{};
  out.size = sizeof(out);
  out.kind = static_cast<se_delta_kind>(delta.kind);
  out.tool_index = delta.tool_index;
  out.text = delta.text.empty() ? "" : delta.text.data();
  out.text_bytes = delta.text.size();
  out.tool_call_id = begins ? id.c_str() : nullptr;
  out.tool_name = begins ? name.c_str() : nullptr;
  out.logprobs = logprobs.empty() ? nullptr : logprobs.data();
  out.logprob_count = logprobs.size();
  return pass_on(out);
}

// What the three functions that generate have in common.
struct Generation {
  se_text *text;
  const se_text_generate_options *options;
  se_text_delta_fn on_delta;
  void *user_data;
  se_text_result *out_result;

  // `prompt()` is evaluated inside guard.
  template <typename Prompt>
  se_status run(Prompt &&prompt) noexcept {
    return guard_with_result<TextResult>(out_result, [&](TextResult &result) {
      se_text &handle = checked(text);
      se_text_generate_options all = defaults_of(handle.manager());
      copy_options(options, all);
      TextRequest request = request_of(all);
      request.prompt = prompt();
      if (auto *messages = std::get_if<ChatMessages>(&request.prompt)) {
        messages->images = images_of(all);
      } else {
        require(all.image_count == 0, "images are given with a prompt", "images belong to the messages of a chat");
      }
      const auto pass_on = [&](const se_text_delta &delta) { return on_delta(&delta, user_data); };
      const DeltaReceiver receiver = [&](const TextDelta &delta) {
        return on_delta == nullptr || with_exported(delta, pass_on);
      };
      const auto run_it = [&](TextManager &manager, const Interrupt &interrupt) {
        manager.generate(request, receiver, interrupt, result);
      };
      handle.call(all.timeout_ms, run_it, all.call_id);
    });
  }
};

TraceCallback trace_callback(se_trace_fn on_kernel, void *user_data) {
  if (on_kernel == nullptr) return nullptr;
  return [on_kernel, user_data](const char *kernel, std::span<const KernelTensor> tensors) {
    std::vector<se_kernel_tensor> all;
    for (const KernelTensor &tensor : tensors) all.push_back({tensor.values, tensor.rows, tensor.columns});
    on_kernel(kernel, all.data(), all.size(), user_data);
  };
}

}  // namespace
}  // namespace se

using se::checked;
using se::guard;
using se::Interrupt;
using se::TextManager;

extern "C" {

se_status se_text_open(const char *path, const se_text_open_options *options, se_text **out_text) {
  return se::open_handle(out_text, [&] {
    se_text_open_options all{};
    se::copy_options(options, all);
    se::EngineOptions engine;
    engine.context_tokens = all.context_tokens;
    engine.threads = all.threads;
    engine.backend = se::text_or_empty(all.backend);
    engine.cache_folder = se::text_or_empty(all.cache_folder);
    engine.code_folder = se::text_or_empty(all.code_folder);
    engine.mmproj = se::text_or_empty(all.mmproj);
    engine.measure_kernels = all.measure_kernels;
    engine.sequences = all.sequences;
    const std::string model = se::string_argument(path, "path");
    if (all.trusted_keys != nullptr) {
      se::require_trusted(model, all.trusted_keys, engine.code_folder);
      if (all.draft_model != nullptr) se::require_trusted(all.draft_model, all.trusted_keys);
    }
    auto text = TextManager::open(model, engine);
    if (all.draft_model != nullptr) {
      // That folder is for the code of the model alone.
      engine.code_folder.clear();
      text->open_draft(all.draft_model, engine);
    }
    return text;
  });
}

se_status se_text_open_vocabulary(const char *path, se_text **out_text) {
  return se::open_handle(out_text, [&] { return TextManager::open_vocabulary(se::string_argument(path, "path")); });
}

void se_text_close(se_text *text) { se::close_handle(text); }

se_status se_text_info(se_text *text, char **out_json) { return se::handle_info(text, out_json); }

se_status se_text_default_options(se_text *text, se_text_generate_options *out_options, size_t size) {
  return se::guard_defaults(out_options, size, [&] { return se::defaults_of(checked(text).manager()); });
}

se_status se_text_generate(se_text *text, const char *prompt, const se_text_generate_options *options,
                           se_text_delta_fn on_delta, void *user_data, se_text_result *out_result) {
  se::Generation generation{text, options, on_delta, user_data, out_result};
  return generation.run([&] { return std::string(se::string_argument(prompt, "prompt")); });
}

se_status se_text_generate_tokens(se_text *text, const int32_t *token_ids, size_t token_count,
                                  const se_text_generate_options *options, se_text_delta_fn on_delta, void *user_data,
                                  se_text_result *out_result) {
  se::Generation generation{text, options, on_delta, user_data, out_result};
  return generation.run([&] { return se::tokens_argument(token_ids, token_count); });
}

se_status se_text_chat(se_text *text, const char *messages_json, const se_text_generate_options *options,
                       se_text_delta_fn on_delta, void *user_data, se_text_result *out_result) {
  se::Generation generation{text, options, on_delta, user_data, out_result};
  return generation.run([&] { return se::ChatMessages{.json = se::string_argument(messages_json, "messages_json")}; });
}

se_status se_text_count_chat(se_text *text, const char *messages_json, const se_text_generate_options *options,
                             size_t *out_tokens) {
  return guard([&] {
    se_text &handle = checked(text);
    size_t &tokens = se::target(out_tokens, "out_tokens");
    se_text_generate_options all{};
    se::copy_options(options, all);
    const se::ChatMessages messages{se::string_argument(messages_json, "messages_json"), se::images_of(all)};
    handle.call(
        0, [&](TextManager &manager, const Interrupt &interrupt) { tokens = manager.count_chat(messages, interrupt); });
  });
}

se_status se_text_render_chat(se_text *text, const char *messages_json, char **out_prompt) {
  return se::guard_string(out_prompt, [&] {
    const std::string messages = se::string_argument(messages_json, "messages_json");
    return checked(text).call(
        0, [&](TextManager &manager, const Interrupt &interrupt) { return manager.render_chat(messages, interrupt); });
  });
}

se_status se_text_logits(se_text *text, const int32_t *token_ids, size_t token_count, float *out_logits,
                         size_t out_count) {
  return guard([&] {
    se_text &handle = checked(text);
    float *out = &se::target(out_logits, "out_logits");
    const size_t vocabulary = handle.manager().vocab_size();
    se::check_room(out_count, token_count, vocabulary);
    const auto tokens = se::tokens_argument(token_ids, token_count);
    const auto keep = [&](size_t row, std::span<const float> logits) {
      std::memcpy(out + row * vocabulary, logits.data(), logits.size_bytes());
    };
    handle.call(0, [&](TextManager &manager, const Interrupt &interrupt) { manager.score(tokens, keep, interrupt); });
  });
}

se_status se_text_next_logits(se_text *text, const int32_t *token_ids, size_t token_count, float *out_logits,
                              size_t out_count) {
  return guard([&] {
    se_text &handle = checked(text);
    float *out = &se::target(out_logits, "out_logits");
    se::check_room(out_count, 1, handle.manager().vocab_size());
    const auto tokens = se::tokens_argument(token_ids, token_count);
    handle.call(0, [&](TextManager &manager, const Interrupt &interrupt) {
      const auto logits = manager.next_logits(tokens, interrupt);
      std::memcpy(out, logits.data(), logits.size() * sizeof(float));
    });
  });
}

se_status se_text_set_trace(se_text *text, se_trace_fn on_kernel, void *user_data) {
  return guard([&] {
    checked(text).call(0, [&](TextManager &manager, const Interrupt &) {
      manager.set_trace(se::trace_callback(on_kernel, user_data));
    });
  });
}

se_status se_text_score(se_text *text, const int32_t *token_ids, size_t token_count, float *out_log_probabilities) {
  return guard([&] {
    se_text &handle = checked(text);
    const auto tokens = se::tokens_argument(token_ids, token_count);
    se::require(token_count >= 2, "scoring needs at least 2 tokens");
    float *out = &se::target(out_log_probabilities, "out_log_probabilities");
    const auto keep = [&](size_t row, std::span<const float> logits) {
      if (row + 1 < token_count) out[row] = static_cast<float>(se::log_probability(logits, tokens[row + 1]));
    };
    handle.call(0, [&](TextManager &manager, const Interrupt &interrupt) { manager.score(tokens, keep, interrupt); });
  });
}

se_status se_text_embed(se_text *text, const char *const *texts, size_t text_count,
                        const se_text_embed_options *options, float *out_vectors, size_t out_count,
                        se_text_embed_result *out_result) {
  return se::guard_with_result<se::EmbedResult>(out_result, [&](se::EmbedResult &result) {
    se_text &handle = checked(text);
    se_text_embed_options all{};
    se::copy_options(options, all);
    const se::EmbedRequest request = se::request_of(all);
    std::vector<std::string> strings;
    for (const char *one : se::span_argument(texts, text_count, "texts")) {
      strings.emplace_back(se::string_argument(one, "a text"));
    }
    const size_t size = handle.manager().embedding_size();
    if (size == 0) {
      throw se::Error(SE_UNSUPPORTED, "the model makes no embeddings",
                      "open a GGUF file; package a model with --format gguf");
    }
    se::require(strings.size() <= out_count / size, "out_vectors holds " + se::ticked(out_count) + " floats, and " +
                                                        se::ticked(strings.size()) + " vectors of " + se::ticked(size) +
                                                        " do not fit");
    const std::span<float> out(text_count == 0 ? nullptr : &se::target(out_vectors, "out_vectors"), text_count * size);
    const auto run = [&](TextManager &manager, const Interrupt &interrupt) {
      manager.embed(strings, request, out, interrupt, result);
    };
    handle.call(all.timeout_ms, run, all.call_id);
  });
}

se_status se_text_save(se_text *text, const char *sequence_key, const char *path, size_t *out_tokens) {
  return guard([&] {
    se_text &handle = checked(text);
    const std::string file = se::string_argument(path, "path");
    const std::string key = se::text_or_empty(sequence_key);
    const size_t tokens = handle.call(
        0, [&](TextManager &manager, const Interrupt &interrupt) { return manager.save(file, key, interrupt); });
    if (out_tokens != nullptr) *out_tokens = tokens;
  });
}

se_status se_text_restore(se_text *text, const char *sequence_key, const char *path, size_t *out_tokens) {
  return guard([&] {
    se_text &handle = checked(text);
    const std::string file = se::string_argument(path, "path");
    const std::string key = se::text_or_empty(sequence_key);
    const size_t tokens = handle.call(
        0, [&](TextManager &manager, const Interrupt &interrupt) { return manager.restore(file, key, interrupt); });
    if (out_tokens != nullptr) *out_tokens = tokens;
  });
}

se_status se_text_tokenize(se_text *text, const char *utf8, size_t utf8_bytes, bool add_special, bool parse_special,
                           int32_t *out_ids, size_t capacity, size_t *out_count) {
  return guard([&] {
    se_text &handle = checked(text);
    size_t &count = se::target(out_count, "out_count");
    const auto bytes = se::span_argument(utf8, utf8_bytes, "utf8");
    se::require(out_ids != nullptr || capacity == 0, "out_ids is NULL");
    const auto tokens = handle.call(0, [&](TextManager &manager, const Interrupt &) {
      return manager.tokenize({bytes.data(), bytes.size()}, add_special, parse_special);
    });
    std::copy_n(tokens.begin(), std::min(capacity, tokens.size()), out_ids);
    count = tokens.size();
  });
}

se_status se_text_detokenize(se_text *text, const int32_t *token_ids, size_t token_count, bool keep_special,
                             char **out_utf8, size_t *out_bytes) {
  return se::guard_string(out_utf8, [&] {
    const auto tokens = se::tokens_argument(token_ids, token_count);
    const std::string decoded = checked(text).call(
        0, [&](TextManager &manager, const Interrupt &) { return manager.detokenize(tokens, keep_special); });
    if (out_bytes != nullptr) *out_bytes = decoded.size();
    return decoded;
  });
}

void se_text_cancel(se_text *text) { se::cancel_handle(text); }

void se_text_cancel_call(se_text *text, uint64_t call_id) {
  if (text != nullptr) text->cancel_call(call_id);
}

se_status se_text_reset(se_text *text) {
  return guard([&] { checked(text).call(0, [](TextManager &manager, const Interrupt &) { manager.reset(); }); });
}

}  // extern "C"
