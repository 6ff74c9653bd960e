// Chooses the next token from logits: bias, penalties, DRY, grammar, top-k, top-p, min-p, XTC, temperature, in
// llama.cpp's order.
#pragma once

#include <llama.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/interrupt.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

namespace se {

struct LogitBias {
  int32_t token;
  float bias;  // minus infinity: never chosen
};

// Don't repeat yourself: a penalty that grows with the length of the repetition that a token would continue.
struct DryOptions {
  float multiplier = 0;  // 0: off
  float base = 1.75F;
  int32_t allowed_length = 2;
  int32_t last_n = 0;  // 0: all of the context
  std::vector<std::string> sequence_breakers = {"\n", ":", "\"", "*"};
};

struct SamplingOptions {
  uint32_t seed = 0;
  float temperature = 0;
  int32_t top_k = 0;
  float top_p = 1;
  float min_p = 0;
  float xtc_probability = 0;
  float xtc_threshold = 0.1F;
  float repeat_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  int32_t repeat_last_n = 64;
  DryOptions dry = {};
  std::vector<LogitBias> logit_bias = {};
  GrammarOptions grammar = {};

  // INVALID_ARGUMENT when a value is out of its range.
  void check() const;
  bool penalizes() const { return repeat_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0; }
};

class Sampler {
 public:
  // With a grammar all but set_reasoning throw CANCELLED and TIMEOUT, too: thousands of alternatives, each tried with
  // the whole vocabulary, take seconds. `interrupt` outlives this.
  Sampler(const SamplingOptions &options, const Tokenizer &tokenizer, uint32_t context_tokens,
          const Interrupt &interrupt);

  // The next token; `logits` is one row of the vocabulary's size.
  int32_t sample(std::span<const float> logits);
  // Adds a token of the text for penalties and grammar. Prompt tokens too, although the grammar ignores them.
  void accept(int32_t token, bool from_prompt);
  // A lazy grammar takes no notice of reasoning.
  void set_reasoning(bool is_on) {
    if (grammar_) grammar_->pause(is_on);
  }

 private:
  using Chain = std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)>;

  Chain make_chain(const llama_vocab *vocabulary, uint32_t context_tokens) const;
  int32_t choose();
  void fill_candidates(std::span<const float> logits);
  // With bias and penalties; the logits themselves where there are none.
  std::span<const float> adjusted(std::span<const float> logits);
  bool grammar_allows(int32_t token);

  SamplingOptions options_;
  Chain chain_;
  std::optional<Grammar> grammar_;
  std::deque<int32_t> recent_;
  std::vector<float> adjusted_;
  std::vector<llama_token_data> candidates_;
  llama_token_data_array list_{};
};

}  // namespace se
