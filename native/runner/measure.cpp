// The commands bench, score and info: figures of a model, as JSON.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <iostream>
#include <numeric>
#include <string>
#include <thread>
#include <utility>

#include "base/cpu.h"
#include "commands.h"

namespace runner {
namespace {

// What each of several conversations begins with; computed before the time counts.
constexpr int32_t kParallelPromptTokens = 32;

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

  void set_sequences(uint32_t count) { json_["sequences"] = count; }
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

  // As decode, by as many conversations at once; a sample is of all of them together.
  void decode_together(int32_t tokens, uint32_t sequences, Json &out) {
    Series speed("parallel_decode", "tokens/s", tokens);
    speed.set_sequences(sequences);
    for (int i = 0; i < repeat_; ++i) {
      model_.reset();
      for (uint32_t one = 0; one < sequences; ++one) converse(one, 1);
      const double started = uptime();
      std::vector<double> seconds(sequences);
      std::vector<std::exception_ptr> failures(sequences);
      std::vector<std::thread> threads;
      for (uint32_t one = 0; one < sequences; ++one) {
        threads.emplace_back([&, one] {
          try {
            seconds[one] = converse(one, static_cast<uint32_t>(tokens) + 1).decode_seconds;
          } catch (...) {
            failures[one] = std::current_exception();
          }
        });
      }
      for (std::thread &thread : threads) thread.join();
      for (const std::exception_ptr &failure : failures) {
        if (failure) std::rethrow_exception(failure);
      }
      const double longest = *std::max_element(seconds.begin(), seconds.end());
      speed.add(sequences * tokens / longest, started, uptime());
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

  // More of the conversation of this number, from any thread.
  se_text_result converse(uint32_t number, uint32_t new_tokens) {
    const std::string key = std::to_string(number);
    se_text_generate_options options = options_;
    options.max_tokens = new_tokens;
    options.sequence_key = key.c_str();
    std::vector<int32_t> prompt = arbitrary_tokens(kParallelPromptTokens, vocabulary_);
    prompt.front() = static_cast<int32_t>(number % vocabulary_);
    return model_.generate(prompt, options);
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
  const auto sequences = static_cast<uint32_t>(arguments.number("--sequences", 1, 1, 64));
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
    if (tokens > 0 && sequences > 1) bench.decode_together(tokens, sequences, all);
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
