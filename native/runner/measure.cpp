// The verbs bench, score and info: numbers about a model, as JSON.
#include <cmath>
#include <iostream>
#include <numeric>

#include "../src/cpu.h"
#include "verbs.h"

namespace runner {
namespace {

// Tokens that look like no text: every kernel does the same work for any of them.
std::vector<int32_t> arbitrary_tokens(int32_t count, uint32_t vocabulary) {
  std::vector<int32_t> tokens;
  uint32_t state = 1;
  for (int32_t i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;  // Numerical Recipes
    tokens.push_back(static_cast<int32_t>((state >> 8) % vocabulary));
  }
  return tokens;
}

Json series(const char *name, const char *unit, int32_t tokens, const std::vector<double> &samples) {
  return {{"name", name}, {"tokens", tokens}, {"unit", unit}, {"samples", samples}};
}

class Bench {
 public:
  Bench(Model &model, uint32_t vocabulary, int repeat) : model_(model), vocabulary_(vocabulary), repeat_(repeat) {
    options_ = model.defaults();
    options_.temperature = 0;
    options_.repeat_penalty = 1;
    options_.ignore_end_of_text = true;
    // Touches every weight once, so that the first sample is like the others.
    run(1, 4);
  }

  void prefill(int32_t tokens, Json &out) {
    std::vector<double> speed;
    std::vector<double> first_token;
    for (int i = 0; i < repeat_; ++i) {
      const se_text_result result = run(tokens, 1);
      speed.push_back(tokens / result.prefill_seconds);
      first_token.push_back(result.first_token_seconds);
    }
    out.push_back(series("prefill", "tokens/s", tokens, speed));
    out.push_back(series("first_token", "s", tokens, first_token));
  }

  // From an empty context, as llama-bench does.
  void decode(int32_t tokens, Json &out) {
    std::vector<double> speed;
    for (int i = 0; i < repeat_; ++i) {
      const se_text_result result = run(1, static_cast<uint32_t>(tokens) + 1);
      speed.push_back(tokens / result.decode_seconds);
    }
    out.push_back(series("decode", "tokens/s", tokens, speed));
  }

 private:
  se_text_result run(int32_t prompt_tokens, uint32_t new_tokens) {
    model_.reset();
    options_.max_tokens = new_tokens;
    return model_.generate(arbitrary_tokens(prompt_tokens, vocabulary_), options_);
  }

  Model &model_;
  uint32_t vocabulary_;
  int repeat_;
  se_text_generate_options options_{};
};

}  // namespace

void run_bench(const Arguments &arguments) {
  const auto prompts = arguments.numbers("--prompt-tokens", {128, 512}, 1, 1 << 20);
  const auto answers = arguments.numbers("--new-tokens", {128}, 0, 1 << 20);
  const auto repeat = static_cast<int>(arguments.number("--repeat", 5, 1, 10000));
  Model model = open_model(arguments);
  const Json info = model.info();
  const uint64_t loaded_bytes = se::peak_resident_bytes();
  Json all = Json::array();
  const std::vector<double> load = {info["load_seconds"].get<double>()};
  all.push_back({{"name", "load"}, {"tokens", nullptr}, {"unit", "s"}, {"samples", load}});
  Bench bench(model, info["vocab_size"].get<uint32_t>(), repeat);
  for (const int32_t tokens : prompts) bench.prefill(tokens, all);
  for (const int32_t tokens : answers) {
    if (tokens > 0) bench.decode(tokens, all);
  }
  Json report = info;
  report["version"] = se_version();
  report["series"] = all;
  report["loaded_rss_bytes"] = loaded_bytes;
  report["peak_rss_bytes"] = se::peak_resident_bytes();
  print_json(report);
}

void run_score(const Arguments &arguments) {
  const auto text = arguments.text("--text");
  const auto file = arguments.text("--text-file");
  if (text.has_value() + file.has_value() + arguments.has("--tokens") != 1) {
    throw UsageError("give one of --tokens, --text and --text-file");
  }
  std::vector<int32_t> tokens = arguments.numbers("--tokens", {}, 0, INT32_MAX);
  Model model = open_model(arguments);
  if (text || file) tokens = model.tokenize(text ? *text : read_input(*file), true);
  const std::vector<float> scores = model.score(tokens);
  const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
  print_json({{"token_ids", tokens},
              {"log_probabilities", scores},
              {"perplexity", std::exp(-sum / static_cast<double>(scores.size()))}});
}

void run_info(const Arguments &arguments) {
  char *text = nullptr;
  check(se_system_info(&text));
  Json report = {{"system", take_json(text)}};
  if (const auto path = arguments.optional_word(0)) {
    char *model = nullptr;
    check(se_model_info(path->c_str(), &model));
    report["model"] = take_json(model);
  }
  print_json(report);
}

}  // namespace runner
