// Softmax in double precision, and the greatest logits by a partial sort.
#include "text/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace se {
namespace {

// The logarithm of the sum of the exponentials.
double log_sum(std::span<const float> logits) {
  const double greatest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - greatest);
  return greatest + std::log(sum);
}

std::vector<int32_t> likeliest(std::span<const float> logits, size_t count) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto middle = ids.begin() + static_cast<std::ptrdiff_t>(std::min(count, ids.size()));
  const auto is_likelier = [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  };
  std::partial_sort(ids.begin(), middle, ids.end(), is_likelier);
  ids.erase(middle, ids.end());
  return ids;
}

}  // namespace

double log_probability(std::span<const float> logits, int32_t token) {
  return static_cast<double>(logits[static_cast<size_t>(token)]) - log_sum(logits);
}

TokenLogprob token_logprob(std::span<const float> logits, int32_t token, size_t top_count, const Tokenizer &tokenizer) {
  const double sum = log_sum(logits);
  const auto of = [&](int32_t id) {
    const double logit = logits[static_cast<size_t>(id)];
    return TokenLogprob{id, static_cast<float>(logit - sum), tokenizer.piece(id)};
  };
  TokenLogprob chosen = of(token);
  if (top_count == 0) return chosen;
  for (const int32_t id : likeliest(logits, top_count)) chosen.top.push_back(of(id));
  return chosen;
}

}  // namespace se
