// Decodes greedily as long as the draft model is sure of itself.
#include "text/draft_model.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/status.h"
#include "base/utf8.h"
#include "text/prefill.h"

namespace se {
namespace {

// A token of less than this probability is more often wrong than a draft of it is worth.
constexpr double kSure = 0.4;
// What is less likely than the likeliest by this many natural logarithms adds nothing to the sum.
constexpr float kNegligible = 16;

int32_t top_token(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

bool is_sure(std::span<const float> logits, int32_t token) {
  const float greatest = logits[static_cast<size_t>(token)];
  double sum = 0;
  for (const float logit : logits) {
    if (logit > greatest - kNegligible) sum += std::exp(static_cast<double>(logit - greatest));
  }
  // Not with logits that are no numbers either.
  return 1 >= kSure * sum;
}

[[noreturn]] void refuse_draft(const std::string &difference) {
  throw Error(SE_FORMAT_MISMATCH, "the draft model has another tokenizer: " + difference,
              "choose a smaller model of the same family");
}

std::string vocabulary_text(const llama_vocab *vocabulary, int32_t token) {
  const char *text = llama_vocab_get_text(vocabulary, token);
  return text == nullptr ? "" : text;
}

}  // namespace

void check_same_tokens(const Tokenizer &model, const Tokenizer &draft) {
  const auto common = static_cast<int32_t>(std::min(model.size(), draft.size()));
  for (int32_t token = 0; token < common; ++token) {
    const std::string ours = vocabulary_text(model.vocabulary(), token),
                      other = vocabulary_text(draft.vocabulary(), token);
    if (ours == other) continue;
    refuse_draft("its token " + ticked(std::to_string(token)) + " is " + ticked(to_utf8(other)) +
                 " and that of the model " + ticked(to_utf8(ours)));
  }
  const Tokenizer &longer = model.size() > draft.size() ? model : draft;
  for (auto token = common; token < static_cast<int32_t>(longer.size()); ++token) {
    if ((llama_vocab_get_attr(longer.vocabulary(), token) & LLAMA_TOKEN_ATTR_UNUSED) != 0) continue;
    refuse_draft("it has " + ticked(draft.size()) + " tokens and the model " + ticked(model.size()));
  }
}

DraftModel::DraftModel(Scheduler &scheduler, const Engine &engine, Sequence &sequence, uint32_t vocabulary)
    : scheduler_(scheduler), engine_(engine), sequence_(sequence), vocabulary_(vocabulary) {}

bool DraftModel::can_draft() const {
  const auto is_unknown = [&](int32_t token) { return static_cast<uint32_t>(token) >= vocabulary_; };
  return tokens_.size() < engine_.facts().context_tokens && std::none_of(tokens_.begin(), tokens_.end(), is_unknown);
}

void DraftModel::read(const Interrupt &interrupt) {
  uint32_t cached_tokens = 0;
  if (can_draft()) prefill({scheduler_, engine_, sequence_, interrupt}, tokens_, cached_tokens);
}

std::span<const int32_t> DraftModel::draft(size_t most, const Interrupt &interrupt) {
  drafted_.clear();
  if (most == 0 || !can_draft()) return {};
  most = std::min(most, engine_.facts().context_tokens - tokens_.size());
  uint32_t cached_tokens = 0;
  std::vector<float> logits = prefill({scheduler_, engine_, sequence_, interrupt}, tokens_, cached_tokens);
  Scheduler::Decoding decoding(scheduler_, interrupt, sequence_.index);
  while (true) {
    const auto known = std::span<const float>(logits).first(vocabulary_);
    const int32_t token = top_token(known);
    if (!is_sure(known, token)) break;
    drafted_.push_back(token);
    if (drafted_.size() == most) break;
    decoding.step({{&token, 1}, static_cast<uint32_t>(sequence_.computed.size())}, logits);
    sequence_.computed.push_back(token);
  }
  return drafted_;
}

}  // namespace se
