// The C entry points: check the arguments, call the TextManager inside guard, copy results out.
#include "sphere_edge.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

#include "api/arguments.h"
#include "api/info.h"
#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "text/text_manager.h"

struct se_text {
  std::unique_ptr<se::TextManager> manager;
};

namespace se {
namespace {

TextManager &manager_of(se_text *text) {
  require(text != nullptr, "the text handle is NULL");
  return *text->manager;
}

std::span<const int32_t> tokens_argument(const int32_t *token_ids, size_t count) {
  require(token_ids != nullptr || count == 0, "token_ids is NULL");
  return {token_ids, count};
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
  if (options.json_schema != nullptr) return grammar_of_schema(options.json_schema);
  return options.grammar == nullptr ? "" : options.grammar;
}

GenerateOptions options_argument(const TextManager &manager, const se_text_generate_options *given) {
  se_text_generate_options options = defaults_of(manager);
  copy_options(given, options);
  GenerateOptions out;
  out.max_tokens = options.max_tokens;
  out.sampling = {options.temperature,    options.top_k,         options.top_p, options.min_p,
                  options.repeat_penalty, options.repeat_last_n, options.seed,  grammar_argument(options)};
  // A seed that can be told and used again.
  while (out.sampling.seed == SE_SEED_RANDOM) out.sampling.seed = std::random_device{}();
  require(options.stop != nullptr || options.stop_count == 0, "stop is NULL");
  for (size_t i = 0; i < options.stop_count; ++i) {
    const std::string stop = string_argument(options.stop[i], "a stop string");
    require(!stop.empty(), "a stop string is empty");
    require(to_utf8(stop) == stop, "a stop string is no valid UTF-8");
    out.stops.push_back(stop);
  }
  out.ignore_end_of_text = options.ignore_end_of_text;
  out.timeout_ms = options.timeout_ms;
  return out;
}

// Runs `call(options, receiver, result)` and hands out the result whether it succeeds or is interrupted.
template <typename Generate>
se_status generate_with(se_text *text, const se_text_generate_options *options, se_text_piece_fn on_piece,
                        void *user_data, se_text_result *out_result, Generate &&call) noexcept {
  return guard_with_result(out_result, [&](se_text_result &result) {
    TextManager &manager = manager_of(text);
    const Answer::Receiver receiver = [&](std::string_view piece) {
      return on_piece == nullptr || on_piece(piece.data(), piece.size(), user_data);
    };
    call(manager, options_argument(manager, options), receiver, result);
  });
}

double log_probability(std::span<const float> logits, int32_t token) {
  double greatest = -INFINITY;
  for (const float logit : logits) greatest = std::max(greatest, static_cast<double>(logit));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - greatest);
  return static_cast<double>(logits[static_cast<size_t>(token)]) - greatest - std::log(sum);
}

}  // namespace
}  // namespace se

using se::guard;

extern "C" {

const char *se_version(void) { return SE_VERSION; }
const char *se_last_error(void) {
  const char *refusal = se_library_refusal();
  return refusal != nullptr ? refusal : se::last_message();
}
const char *se_last_hint(void) { return se_library_refusal() != nullptr ? SE_LIBRARY_REFUSAL_HINT : se::last_hint(); }
void se_string_free(char *string) { std::free(string); }
void se_log_set(se_log_fn log, void *user_data) { se::set_log(log, user_data); }

se_status se_system_info(char **out_json) {
  return guard([&] { se::target(out_json, "out_json") = se::copy_string(se::system_info_json()); });
}

se_status se_gpu_info(char **out_json) {
  return guard([&] { se::target(out_json, "out_json") = se::copy_string(se::gpu_info_json()); });
}

se_status se_model_info(const char *path, char **out_json) {
  return guard([&] {
    char *&out = se::target(out_json, "out_json");
    out = se::copy_string(se::model_info_json(se::string_argument(path, "path")));
  });
}

se_status se_text_open(const char *path, const se_text_open_options *options, se_text **out_text) {
  return guard([&] {
    se_text *&out = se::target(out_text, "out_text");
    se_text_open_options all{};
    se::copy_options(options, all);
    const se::TvmChoice choice = {all.backend != nullptr ? all.backend : "", all.measure_kernels};
    if (all.cache_folder != nullptr) se::use_cache_folder(all.cache_folder);
    auto manager = se::TextManager::open(se::string_argument(path, "path"), all.threads, all.context_tokens, choice);
    out = new se_text{std::move(manager)};
  });
}

se_status se_text_open_vocabulary(const char *path, se_text **out_text) {
  return guard([&] {
    se_text *&out = se::target(out_text, "out_text");
    out = new se_text{se::TextManager::open_vocabulary(se::string_argument(path, "path"))};
  });
}

void se_text_close(se_text *text) {
  if (text == nullptr) return;
  text->manager->wait();
  delete text;
}

se_status se_text_info(se_text *text, char **out_json) {
  return guard([&] {
    char *&out = se::target(out_json, "out_json");
    out = se::copy_string(se::manager_of(text).info_json());
  });
}

se_status se_text_default_options(se_text *text, se_text_generate_options *out_options) {
  return guard([&] { se::target(out_options, "out_options") = se::defaults_of(se::manager_of(text)); });
}

se_status se_text_generate(se_text *text, const char *prompt, const se_text_generate_options *options,
                           se_text_piece_fn on_piece, void *user_data, se_text_result *out_result) {
  return se::generate_with(text, options, on_piece, user_data, out_result,
                           [&](auto &manager, const auto &all, const auto &receiver, auto &result) {
                             manager.generate(std::string_view(se::string_argument(prompt, "prompt")), all, receiver,
                                              result);
                           });
}

se_status se_text_generate_tokens(se_text *text, const int32_t *token_ids, size_t token_count,
                                  const se_text_generate_options *options, se_text_piece_fn on_piece, void *user_data,
                                  se_text_result *out_result) {
  return se::generate_with(text, options, on_piece, user_data, out_result,
                           [&](auto &manager, const auto &all, const auto &receiver, auto &result) {
                             manager.generate(se::tokens_argument(token_ids, token_count), all, receiver, result);
                           });
}

se_status se_text_chat(se_text *text, const char *messages_json, const se_text_generate_options *options,
                       se_text_piece_fn on_piece, void *user_data, se_text_result *out_result) {
  return se::generate_with(text, options, on_piece, user_data, out_result,
                           [&](auto &manager, const auto &all, const auto &receiver, auto &result) {
                             manager.chat(se::string_argument(messages_json, "messages_json"), all, receiver, result);
                           });
}

se_status se_text_render_chat(se_text *text, const char *messages_json, char **out_prompt) {
  return guard([&] {
    char *&out = se::target(out_prompt, "out_prompt");
    out = se::copy_string(se::manager_of(text).render_chat(se::string_argument(messages_json, "messages_json")));
  });
}

se_status se_text_logits(se_text *text, const int32_t *token_ids, size_t token_count, float *out_logits,
                         size_t out_count) {
  return guard([&] {
    se::TextManager &manager = se::manager_of(text);
    float *out = &se::target(out_logits, "out_logits");
    const size_t vocabulary = manager.vocab_size();
    se::require(token_count <= out_count / vocabulary, "out_logits has room for " +
                                                           se::ticked(std::to_string(out_count)) + " floats and " +
                                                           se::ticked(std::to_string(token_count)) + " rows of " +
                                                           se::ticked(std::to_string(vocabulary)) + " are wanted");
    manager.score(se::tokens_argument(token_ids, token_count), [&](size_t row, std::span<const float> logits) {
      std::memcpy(out + row * vocabulary, logits.data(), vocabulary * sizeof(float));
    });
  });
}

se_status se_text_next_logits(se_text *text, const int32_t *token_ids, size_t token_count, float *out_logits,
                              size_t out_count) {
  return guard([&] {
    se::TextManager &manager = se::manager_of(text);
    float *out = &se::target(out_logits, "out_logits");
    se::require(out_count >= manager.vocab_size(),
                "out_logits has room for " + se::ticked(std::to_string(out_count)) + " floats and " +
                    se::ticked(std::to_string(manager.vocab_size())) + " are wanted");
    const auto logits = manager.next_logits(se::tokens_argument(token_ids, token_count));
    std::memcpy(out, logits.data(), logits.size_bytes());
  });
}

se_status se_text_watch(se_text *text, se_kernel_fn on_kernel, void *user_data) {
  return guard([&] {
    se::TextManager &manager = se::manager_of(text);
    if (on_kernel == nullptr) return manager.watch(nullptr);
    manager.watch([on_kernel, user_data](const char *kernel, std::span<const se_kernel_tensor> tensors) {
      on_kernel(kernel, tensors.data(), tensors.size(), user_data);
    });
  });
}

se_status se_text_score(se_text *text, const int32_t *token_ids, size_t token_count, float *out_log_probabilities) {
  return guard([&] {
    se::TextManager &manager = se::manager_of(text);
    const auto tokens = se::tokens_argument(token_ids, token_count);
    se::require(token_count >= 2, "scoring needs at least 2 tokens");
    float *out = &se::target(out_log_probabilities, "out_log_probabilities");
    manager.score(tokens, [&](size_t row, std::span<const float> logits) {
      if (row + 1 < token_count) out[row] = static_cast<float>(se::log_probability(logits, tokens[row + 1]));
    });
  });
}

se_status se_text_tokenize(se_text *text, const char *utf8, size_t utf8_bytes, bool add_special, bool parse_special,
                           int32_t *out_ids, size_t capacity, size_t *out_count) {
  return guard([&] {
    se::TextManager &manager = se::manager_of(text);
    size_t &count = se::target(out_count, "out_count");
    se::require(utf8 != nullptr || utf8_bytes == 0, "utf8 is NULL");
    se::require(out_ids != nullptr || capacity == 0, "out_ids is NULL");
    const auto tokens = manager.tokenize({utf8, utf8_bytes}, add_special, parse_special);
    std::copy_n(tokens.begin(), std::min(capacity, tokens.size()), out_ids);
    count = tokens.size();
  });
}

se_status se_text_detokenize(se_text *text, const int32_t *token_ids, size_t token_count, bool keep_special,
                             char **out_utf8, size_t *out_bytes) {
  return guard([&] {
    char *&out = se::target(out_utf8, "out_utf8");
    const std::string said = se::manager_of(text).detokenize(se::tokens_argument(token_ids, token_count), keep_special);
    out = se::copy_string(said);
    if (out_bytes != nullptr) *out_bytes = said.size();
  });
}

void se_text_cancel(se_text *text) {
  if (text != nullptr) text->manager->cancel();
}

se_status se_text_reset(se_text *text) {
  return guard([&] { se::manager_of(text).reset(); });
}

}  // extern "C"
