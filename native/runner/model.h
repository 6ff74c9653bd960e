// The C API for the runner: a model that closes itself, failures as exceptions, Ctrl-C as cancel.
#pragma once

#include <sphere_edge.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace runner {

using Json = nlohmann::ordered_json;

// A status that is not OK, with its message and hint.
struct Failure {
  se_status status;
  std::string message;
  std::string hint;
};

void check(se_status status);
// Parses and frees a string of the library.
Json take_json(char *text);

class Model {
 public:
  using Receiver = std::function<bool(const se_text_delta &)>;

  Model(const std::string &path, const se_text_open_options &options);
  ~Model();
  Model(const Model &) = delete;
  Model &operator=(const Model &) = delete;

  Json info();
  se_text_generate_options defaults();
  se_text_result generate(const std::string &prompt, const se_text_generate_options &options, const Receiver &receiver);
  se_text_result generate(const std::vector<int32_t> &tokens, const se_text_generate_options &options);
  se_text_result chat(const Json &messages, const se_text_generate_options &options, const Receiver &receiver);
  std::vector<int32_t> tokenize(const std::string &text, bool add_special);
  std::vector<float> score(const std::vector<int32_t> &tokens);
  // Logits after each token, row by row.
  std::vector<float> logits(const std::vector<int32_t> &tokens, size_t vocabulary);
  // Logits after the last token, computed as generation computes them.
  std::vector<float> next_logits(const std::vector<int32_t> &tokens, size_t vocabulary);
  void reset();
  se_text *handle() const { return text_; }

 private:
  se_text *text_ = nullptr;
};

// Sets what Ctrl-C and SIGTERM do; nullptr: end the process.
void set_signal_action(std::function<void()> cancel);

// Makes Ctrl-C and SIGTERM cancel the open model instead of ending the process. Called before any thread starts.
void cancel_on_signals();

}  // namespace runner
