// Sampling with llama.cpp's llama_sampler_*; greedy choice, bias and penalties are done here in one pass.
#include "text/sampler.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/status.h"

namespace se {
namespace {

int32_t greatest(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

void require_range(bool holds, const char *name, float value) {
  require(holds, std::string(name) + " is out of range: " + ticked(std::to_string(value)));
}

}  // namespace

void SamplingOptions::check() const {
  require_range(std::isfinite(temperature) && temperature >= 0, "temperature", temperature);
  require(top_k >= 0, "top_k is negative: " + ticked(std::to_string(top_k)));
  require_range(top_p > 0 && top_p <= 1, "top_p", top_p);
  require_range(min_p >= 0 && min_p <= 1, "min_p", min_p);
  require_range(std::isfinite(repeat_penalty) && repeat_penalty > 0, "repeat_penalty", repeat_penalty);
  require_range(std::isfinite(presence_penalty), "presence_penalty", presence_penalty);
  require_range(std::isfinite(frequency_penalty), "frequency_penalty", frequency_penalty);
  require(repeat_last_n >= 0, "repeat_last_n is negative: " + ticked(std::to_string(repeat_last_n)));
  require_range(xtc_probability >= 0 && xtc_probability <= 1, "xtc_probability", xtc_probability);
  require_range(xtc_threshold >= 0 && xtc_threshold <= 1, "xtc_threshold", xtc_threshold);
  require_range(std::isfinite(dry.multiplier) && dry.multiplier >= 0, "dry_multiplier", dry.multiplier);
  require_range(std::isfinite(dry.base) && dry.base >= 1, "dry_base", dry.base);
  require(dry.allowed_length >= 1, "dry_allowed_length is below 1: " + ticked(std::to_string(dry.allowed_length)));
  require(dry.last_n >= 0, "dry_last_n is negative: " + ticked(std::to_string(dry.last_n)));
  for (const LogitBias &one : logit_bias) {
    require_range(!std::isnan(one.bias) && one.bias < INFINITY, "the bias of a token", one.bias);
  }
}

Sampler::Sampler(const SamplingOptions &options, const Tokenizer &tokenizer, uint32_t context_tokens,
                 const Interrupt &interrupt)
    : options_(options), chain_(nullptr, llama_sampler_free) {
  options_.check();
  for (const LogitBias &one : options_.logit_bias) tokenizer.check({&one.token, 1});
  chain_ = make_chain(tokenizer.vocabulary(), context_tokens);
  if (!options_.grammar.text.empty()) grammar_.emplace(options_.grammar, tokenizer, interrupt);
}

Sampler::Chain Sampler::make_chain(const llama_vocab *vocabulary, uint32_t context_tokens) const {
  Chain chain(llama_sampler_chain_init({.no_perf = true}), llama_sampler_free);
  const auto add = [&](llama_sampler *sampler) { llama_sampler_chain_add(chain.get(), sampler); };
  if (const DryOptions &dry = options_.dry; dry.multiplier > 0) {
    std::vector<const char *> breakers;
    for (const std::string &breaker : dry.sequence_breakers) breakers.push_back(breaker.c_str());
    const int32_t last_n = dry.last_n == 0 ? static_cast<int32_t>(context_tokens) : dry.last_n;
    add(llama_sampler_init_dry(vocabulary, dry.multiplier, dry.base, dry.allowed_length, last_n, breakers.data(),
                               breakers.size()));
  }
  const bool is_greedy = options_.temperature == 0;
  if (!is_greedy && options_.top_k > 0) add(llama_sampler_init_top_k(options_.top_k));
  if (!is_greedy && options_.top_p < 1) add(llama_sampler_init_top_p(options_.top_p, 1));
  if (!is_greedy && options_.min_p > 0) add(llama_sampler_init_min_p(options_.min_p, 1));
  if (options_.xtc_probability > 0) {
    add(llama_sampler_init_xtc(options_.xtc_probability, options_.xtc_threshold, 1, options_.seed));
  }
  if (is_greedy) {
    add(llama_sampler_init_greedy());
  } else {
    add(llama_sampler_init_temp(options_.temperature));
    add(llama_sampler_init_dist(options_.seed));
  }
  return chain;
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (!std::isfinite(logits[static_cast<size_t>(greatest(logits))])) {
    throw Error(SE_INTERNAL, "the model computed logits that are not finite",
                "the weights may be damaged: run `sphere-edge verify` on the bundle");
  }
  logits = adjusted(logits);
  const bool is_plain = options_.dry.multiplier == 0 && options_.xtc_probability == 0;
  const bool is_free = !grammar_ || !grammar_->holds();
  if (is_free && options_.temperature == 0 && is_plain) return greatest(logits);
  fill_candidates(logits);
  const int32_t token = choose();
  if (is_free || grammar_allows(token)) return token;
  // Most tokens follow the grammar anyway; only now the whole vocabulary is checked.
  fill_candidates(logits);
  grammar_->apply(list_);
  require(std::any_of(candidates_.begin(), candidates_.end(), [](const auto &c) { return std::isfinite(c.logit); }),
          "no token of the vocabulary can continue the grammar");
  return choose();
}

void Sampler::accept(int32_t token, bool from_prompt) {
  if (options_.repeat_last_n > 0 && options_.penalizes()) {
    recent_.push_back(token);
    if (recent_.size() > static_cast<size_t>(options_.repeat_last_n)) recent_.pop_front();
  }
  if (options_.dry.multiplier > 0) llama_sampler_accept(chain_.get(), token);
  if (grammar_ && !from_prompt) grammar_->accept(token);
}

int32_t Sampler::choose() {
  llama_sampler_apply(chain_.get(), &list_);
  if (list_.selected < 0 || static_cast<size_t>(list_.selected) >= list_.size) {
    throw Error(SE_INTERNAL, "the sampler chose no token");
  }
  return list_.data[list_.selected].id;
}

void Sampler::fill_candidates(std::span<const float> logits) {
  candidates_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) candidates_[i] = {static_cast<int32_t>(i), logits[i], 0.0F};
  list_ = {candidates_.data(), candidates_.size(), -1, false};
}

// The repeat penalty is that of Keskar et al. 2019 (CTRL), as in llama.cpp: logits above zero are divided, the others
// multiplied.
std::span<const float> Sampler::adjusted(std::span<const float> logits) {
  if (options_.logit_bias.empty() && recent_.empty()) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  for (const LogitBias &one : options_.logit_bias) adjusted_[static_cast<size_t>(one.token)] += one.bias;
  std::map<int32_t, int> occurrences;
  for (const int32_t token : recent_) ++occurrences[token];
  for (const auto &[token, count] : occurrences) {
    float &logit = adjusted_[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
    logit -= options_.presence_penalty + static_cast<float>(count) * options_.frequency_penalty;
  }
  require(std::isfinite(adjusted_[static_cast<size_t>(greatest(adjusted_))]), "logit_bias leaves no token to choose");
  return adjusted_;
}

bool Sampler::grammar_allows(int32_t token) {
  llama_token_data candidate = {token, 1.0F, 0.0F};
  llama_token_data_array list = {&candidate, 1, -1, false};
  grammar_->apply(list);
  return std::isfinite(candidate.logit);
}

}  // namespace se
