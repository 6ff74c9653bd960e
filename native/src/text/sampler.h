// Chooses the next token from logits: repeat penalty, grammar, top-k, top-p, min-p, temperature, in llama.cpp's order.
#pragma once

#include <llama.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace se {

struct SamplingOptions {
  float temperature;
  int32_t top_k;
  float top_p;
  float min_p;
  float repeat_penalty;
  int32_t repeat_last_n;
  uint32_t seed;
  std::string grammar;  // GBNF; empty: none

  // INVALID_ARGUMENT when a value is out of its range.
  void check() const;
};

// The grammar of a JSON schema; INVALID_ARGUMENT if it is not one or uses what a grammar cannot express.
std::string grammar_of_schema(const std::string &json_schema);

class Sampler {
 public:
  Sampler(const SamplingOptions &options, const Tokenizer &tokenizer);

  // The next token; `logits` is one row of the vocabulary's size.
  int32_t sample(std::span<const float> logits);
  // Adds a token of the text for penalty and grammar. Prompt tokens too, although the grammar ignores them.
  void accept(int32_t token, bool from_prompt);

 private:
  using Chain = std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)>;

  int32_t choose();
  void fill_candidates(std::span<const float> logits);
  void penalize(std::vector<float> &logits) const;
  bool grammar_allows(int32_t token);

  SamplingOptions options_;
  Chain chain_;
  Chain grammar_;
  std::deque<int32_t> recent_;
  std::vector<float> penalized_;
  std::vector<llama_token_data> candidates_;
  llama_token_data_array list_{};
};

}  // namespace se
