// The C functions of TextManager: check the arguments, call the manager inside guard, copy results out.
#include <cmath>
#include <cstring>
#include <random>

#include "api/arguments.h"
#include "api/handle.h"
#include "base/utf8.h"
#include "sphere_edge.h"
#include "text/text_manager.h"

struct se_text : se::Handle<se::TextManager> {
  using Handle::Handle;
};

namespace se {

// Found by guard_with_result through its argument, which an unnamed namespace would hide.
se_text_result exported(const TextResult &result) {
  return {sizeof(se_text_result),   static_cast<se_finish_reason>(result.finish_reason),
          result.prompt_tokens,     result.cached_tokens,
          result.completion_tokens, result.seed,
          result.prefill_seconds,   result.first_token_seconds,
          result.decode_seconds};
}

namespace {

using TokenIds = std::span<const int32_t>;

static_assert(static_cast<int>(FinishReason::stop) == SE_FINISH_STOP);
static_assert(static_cast<int>(FinishReason::length) == SE_FINISH_LENGTH);
static_assert(static_cast<int>(FinishReason::cancelled) == SE_FINISH_CANCELLED);

TokenIds tokens_argument(const int32_t *token_ids, size_t count) {
  return span_argument(token_ids, count, "token_ids");
}

void check_room(size_t floats, size_t rows, size_t vocabulary) {
  require(rows <= floats / vocabulary, "out_logits holds " + ticked(floats) + " floats, and " + ticked(rows) +
                                           " rows of " + ticked(vocabulary) + " do not fit");
}

se_text_generate_options defaults_of(const TextManager &manager) {
  const SamplingDefaults &sampling = manager.sampling_defaults();
  se_text_generate_options options{};
  options.size = sizeof(options);
  options.temperature = sampling.temperature;
  options.top_k = sampling.top_k;
  options.top_p = sampling.top_p;
  options.min_p = sampling.min_p;
  options.repeat_penalty = sampling.repeat_penalty;
  options.repeat_last_n = 64;
  options.seed = SE_SEED_RANDOM;
  return options;
}

std::string grammar_argument(const se_text_generate_options &options) {
  require(options.grammar == nullptr || options.json_schema == nullptr, "both grammar and json_schema are given",
          "give one of them");
  return options.json_schema != nullptr ? grammar_of_schema(options.json_schema) : text_or_empty(options.grammar);
}

TextRequest request_of(const se_text_generate_options &options) {
  TextRequest request;
  request.max_tokens = options.max_tokens;
  request.sampling = {options.temperature,    options.top_k,         options.top_p, options.min_p,
                      options.repeat_penalty, options.repeat_last_n, options.seed,  grammar_argument(options)};
  // A seed that can be reported and used again.
  while (request.sampling.seed == SE_SEED_RANDOM) request.sampling.seed = std::random_device{}();
  for (const char *stop : span_argument(options.stop, options.stop_count, "stop")) {
    request.stops.emplace_back(string_argument(stop, "a stop string"));
    require(!request.stops.back().empty(), "a stop string is empty");
    require(to_utf8(request.stops.back()) == request.stops.back(), "a stop string is not valid UTF-8");
  }
  request.ignore_end_of_text = options.ignore_end_of_text;
  return request;
}

// What the three functions that generate have in common.
struct Generation {
  se_text *text;
  const se_text_generate_options *options;
  se_text_piece_fn on_piece;
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
      const OutputStream::Receiver receiver = [&](std::string_view piece) {
        return on_piece == nullptr || on_piece(piece.data(), piece.size(), user_data);
      };
      handle.call(all.timeout_ms, [&](TextManager &manager, const Interrupt &interrupt) {
        manager.generate(request, receiver, interrupt, result);
      });
    });
  }
};

double log_probability(std::span<const float> logits, int32_t token) {
  double greatest = -INFINITY;
  for (const float logit : logits) greatest = std::max(greatest, static_cast<double>(logit));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - greatest);
  return static_cast<double>(logits[static_cast<size_t>(token)]) - greatest - std::log(sum);
}

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
    return TextManager::open(se::string_argument(path, "path"),
                             {all.context_tokens, all.threads, se::text_or_empty(all.backend),
                              se::text_or_empty(all.cache_folder), all.measure_kernels});
  });
}

se_status se_text_open_vocabulary(const char *path, se_text **out_text) {
  return se::open_handle(out_text, [&] { return TextManager::open_vocabulary(se::string_argument(path, "path")); });
}

void se_text_close(se_text *text) { se::close_handle(text); }

se_status se_text_info(se_text *text, char **out_json) { return se::handle_info(text, out_json); }

se_status se_text_default_options(se_text *text, se_text_generate_options *out_options) {
  return guard([&] { se::target(out_options, "out_options") = se::defaults_of(checked(text).manager()); });
}

se_status se_text_generate(se_text *text, const char *prompt, const se_text_generate_options *options,
                           se_text_piece_fn on_piece, void *user_data, se_text_result *out_result) {
  se::Generation generation{text, options, on_piece, user_data, out_result};
  return generation.run([&] { return std::string(se::string_argument(prompt, "prompt")); });
}

se_status se_text_generate_tokens(se_text *text, const int32_t *token_ids, size_t token_count,
                                  const se_text_generate_options *options, se_text_piece_fn on_piece, void *user_data,
                                  se_text_result *out_result) {
  se::Generation generation{text, options, on_piece, user_data, out_result};
  return generation.run([&] { return se::tokens_argument(token_ids, token_count); });
}

se_status se_text_chat(se_text *text, const char *messages_json, const se_text_generate_options *options,
                       se_text_piece_fn on_piece, void *user_data, se_text_result *out_result) {
  se::Generation generation{text, options, on_piece, user_data, out_result};
  return generation.run([&] { return se::ChatMessages{se::string_argument(messages_json, "messages_json")}; });
}

se_status se_text_render_chat(se_text *text, const char *messages_json, char **out_prompt) {
  return se::guard_string(out_prompt, [&] {
    const std::string messages = se::string_argument(messages_json, "messages_json");
    return checked(text).call(0,
                              [&](TextManager &manager, const Interrupt &) { return manager.render_chat(messages); });
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

se_status se_text_reset(se_text *text) {
  return guard([&] { checked(text).call(0, [](TextManager &manager, const Interrupt &) { manager.reset(); }); });
}

}  // extern "C"
