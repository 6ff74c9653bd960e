// Log probabilities of tokens, from a row of logits as the model computed it.
#pragma once

#include <cstdint>
#include <span>

#include "text/text_delta.h"
#include "text/tokenizer.h"

namespace se {

// The natural logarithm of the probability of `token`.
double log_probability(std::span<const float> logits, int32_t token);

// The same with the token's bytes, and the `top_count` likeliest tokens.
TokenLogprob token_logprob(std::span<const float> logits, int32_t token, size_t top_count, const Tokenizer &tokenizer);

}  // namespace se
