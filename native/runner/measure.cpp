// The commands bench, score and info: figures of a model, as JSON.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <numeric>
#include <utility>

#include "base/cpu.h"
#include "commands.h"

namespace runner {
namespace {

// Pseudo-random tokens: kernels do the same work for any of them.
std::vector<int32_t> arbitrary_tokens(int32_t count, uint32_t vocabulary) {
  std::vector<int32_t> tokens;
  uint32_t state = 1;
  for (int32_t i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;  // Numerical Recipes
    tokens.push_back(static_cast<int32_t>((state >> 8) % vocabulary));
  }
  return tokens;
}

// Seconds since boot, including sleep, as in /proc/uptime, so that readings of sensors line up.
double uptime() {
  timespec now{};
#if defined(CLOCK_BOOTTIME)
  clock_gettime(CLOCK_BOOTTIME, &now);
#else
  clock_gettime(CLOCK_MONOTONIC, &now);
#endif
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Samples of one quantity, each with its start and end time.
class Series {
 public:
  Series(const char *name, const char *unit, Json tokens)
      : json_({{"name", name}, {"tokens", std::move(tokens)}, {"unit", unit}}) {}

  void add(double sample, double started, double ended) {
    json_["samples"].push_back(sample);
    json_["started_s"].push_back(started);
    json_["ended_s"].push_back(ended);
  }

  const Json &json() const { return json_; }

 private:
  Json json_;
};

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
    Series speed("prefill", "tokens/s", tokens);
    Series first_token("first_token", "s", tokens);
    for (int i = 0; i < repeat_; ++i) {
      const double started = uptime();
      const se_text_result result = run(tokens, 1);
      const double ended = uptime();
      speed.add(tokens / result.prefill_seconds, started, ended);
      first_token.add(result.first_token_seconds, started, ended);
    }
    out.push_back(speed.json());
    out.push_back(first_token.json());
  }

  // From an empty context, as llama-bench does.
  void decode(int32_t tokens, Json &out) {
    Series speed("decode", "tokens/s", tokens);
    for (int i = 0; i < repeat_; ++i) {
      const double started = uptime();
      const se_text_result result = run(1, static_cast<uint32_t>(tokens) + 1);
      speed.add(tokens / result.decode_seconds, started, uptime());
    }
    out.push_back(speed.json());
  }

  // Whole answers one after the other for `seconds`. A sample is what at least a second of them gave.
  Json sustain(double seconds, int32_t prompt_tokens, int32_t new_tokens) {
    Json samples = Json::array();
    for (const double end = uptime() + seconds; uptime() < end;) {
      const double started = uptime();
      double prefill_seconds = 0;
      double decode_seconds = 0;
      int answers = 0;
      while (answers == 0 || uptime() < started + 1) {
        const se_text_result result = run(prompt_tokens, static_cast<uint32_t>(new_tokens) + 1);
        prefill_seconds += result.prefill_seconds;
        decode_seconds += result.decode_seconds;
        ++answers;
      }
      samples.push_back({{"started_s", started},
                         {"ended_s", uptime()},
                         {"answers", answers},
                         {"prefill", answers * prompt_tokens / prefill_seconds},
                         {"decode", answers * new_tokens / decode_seconds}});
    }
    return samples;
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
  const auto sustain = static_cast<double>(arguments.number("--sustain", 0, 0, 7 * 24 * 3600));
  const double opening = uptime();
  Model model = open_model(arguments);
  const Json info = model.info();
  const uint64_t loaded_bytes = se::peak_resident_bytes();
  Json all = Json::array();
  Series load("load", "s", nullptr);
  load.add(info["load_seconds"].get<double>(), opening, uptime());
  all.push_back(load.json());
  Bench bench(model, info["vocab_size"].get<uint32_t>(), repeat);
  for (const int32_t tokens : prompts) bench.prefill(tokens, all);
  for (const int32_t tokens : answers) {
    if (tokens > 0) bench.decode(tokens, all);
  }
  // The times of kernels are known only now.
  Json report = model.info();
  report["version"] = se_version();
  report["series"] = all;
  report["sustain"] =
      sustain > 0 ? bench.sustain(sustain, prompts.front(), std::max(1, answers.front())) : Json::array();
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
  if (arguments.has("--gpu")) {
    char *gpus = nullptr;
    check(se_gpu_info(&gpus));
    report["gpu"] = take_json(gpus);
  }
  if (const auto path = arguments.optional_word(0)) {
    char *model = nullptr;
    check(se_model_info(path->c_str(), &model));
    report["model"] = take_json(model);
  }
  print_json(report);
}

}  // namespace runner
