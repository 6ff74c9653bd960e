// Sampling with llama.cpp's llama_sampler_*; greedy choice and penalty are done here in one pass.
#include "text/sampler.h"

#include <json-schema-to-grammar.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/json.h"
#include "base/status.h"
#include "llama-grammar.h"

namespace se {
namespace {

// llama_sampler_init_grammar reports syntax errors only on stderr; its parser, called rule by rule, throws them.
void check_grammar(const std::string &grammar, const llama_vocab *vocabulary) {
  llama_grammar_parser parser(vocabulary);
  const char *rest = grammar.c_str();
  while (*rest != '\0' && (std::isspace(static_cast<unsigned char>(*rest)) != 0)) ++rest;
  try {
    while (*rest != '\0' && *rest != '#') rest = parser.parse_rule(rest);
  } catch (const std::exception &error) {
    std::string problem = error.what();
    if (problem.size() > 120) problem = problem.substr(0, 120) + "…";
    throw Error(SE_INVALID_ARGUMENT, "the grammar cannot be read: " + problem);
  }
  require(parser.symbol_ids.contains("root"), "the grammar has no rule `root`");
  for (const auto &[name, id] : parser.symbol_ids) {
    require(id < parser.rules.size() && !parser.rules[id].empty(), "the grammar has no rule " + ticked(name));
  }
}

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
  require(repeat_last_n >= 0, "repeat_last_n is negative: " + ticked(std::to_string(repeat_last_n)));
}

std::string grammar_of_schema(const std::string &json_schema) {
  parse_json(json_schema, "the JSON schema", SE_INVALID_ARGUMENT);
  try {
    return json_schema_to_grammar(common_json::parse(json_schema), true);
  } catch (const std::exception &error) {
    throw Error(SE_INVALID_ARGUMENT, std::string("the JSON schema is not supported: ") + error.what());
  }
}

Sampler::Sampler(const SamplingOptions &options, const Tokenizer &tokenizer)
    : options_(options),
      chain_(llama_sampler_chain_init({.no_perf = true}), llama_sampler_free),
      grammar_(nullptr, llama_sampler_free) {
  options_.check();
  const auto add = [&](llama_sampler *sampler) { llama_sampler_chain_add(chain_.get(), sampler); };
  if (options_.temperature > 0) {
    if (options_.top_k > 0) add(llama_sampler_init_top_k(options_.top_k));
    if (options_.top_p < 1) add(llama_sampler_init_top_p(options_.top_p, 1));
    if (options_.min_p > 0) add(llama_sampler_init_min_p(options_.min_p, 1));
    add(llama_sampler_init_temp(options_.temperature));
    add(llama_sampler_init_dist(options_.seed));
  } else {
    add(llama_sampler_init_greedy());
  }
  if (!options_.grammar.empty()) {
    check_grammar(options_.grammar, tokenizer.vocabulary());
    grammar_.reset(llama_sampler_init_grammar(tokenizer.vocabulary(), options_.grammar.c_str(), "root"));
    require(grammar_ != nullptr, "the grammar is not supported",
            "rules that begin with themselves (left recursion) are not supported");
  }
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (!std::isfinite(logits[static_cast<size_t>(greatest(logits))])) {
    throw Error(SE_INTERNAL, "the model computed logits that are not finite",
                "the weights may be damaged: run `sphere-edge verify` on the bundle");
  }
  if (options_.repeat_penalty != 1.0F && !recent_.empty()) {
    penalized_.assign(logits.begin(), logits.end());
    penalize(penalized_);
    logits = penalized_;
  }
  if (!grammar_ && options_.temperature == 0) return greatest(logits);
  fill_candidates(logits);
  const int32_t token = choose();
  if (!grammar_ || grammar_allows(token)) return token;
  // Most tokens follow the grammar anyway; only now the whole vocabulary is checked.
  fill_candidates(logits);
  llama_sampler_apply(grammar_.get(), &list_);
  require(std::any_of(candidates_.begin(), candidates_.end(), [](const auto &c) { return std::isfinite(c.logit); }),
          "no token of the vocabulary can continue the grammar");
  return choose();
}

void Sampler::accept(int32_t token, bool from_prompt) {
  if (options_.repeat_last_n > 0 && options_.repeat_penalty != 1.0F) {
    recent_.push_back(token);
    if (recent_.size() > static_cast<size_t>(options_.repeat_last_n)) recent_.pop_front();
  }
  if (grammar_ && !from_prompt) llama_sampler_accept(grammar_.get(), token);
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

// Keskar et al. 2019 (CTRL), as in llama.cpp: logits above zero are divided, the others multiplied.
void Sampler::penalize(std::vector<float> &logits) const {
  for (const int32_t token : std::set<int32_t>(recent_.begin(), recent_.end())) {
    float &logit = logits[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
  }
}

bool Sampler::grammar_allows(int32_t token) {
  llama_token_data candidate = {token, 1.0F, 0.0F};
  llama_token_data_array list = {&candidate, 1, -1, false};
  llama_sampler_apply(grammar_.get(), &list);
  return std::isfinite(candidate.logit);
}

}  // namespace se
