// Drafts, checks them in one step, and hands out their logits as long as the drafts are right.
#include "text/speculation.h"

#include <algorithm>
#include <utility>

namespace se {

Speculation::Speculation(const Decoder &decoder, std::vector<float> logits, Drafting drafting)
    : decoder_(decoder),
      decoding_(decoder.scheduler, decoder.interrupt, decoder.sequence.index),
      drafting_(std::move(drafting)),
      length_(drafting_.most_tokens),
      rows_(std::move(logits)) {}

std::span<const float> Speculation::logits() const {
  const size_t vocabulary = decoder_.engine.facts().vocab_size;
  return std::span(rows_).subspan(used_ * vocabulary, vocabulary);
}

void Speculation::advance(int32_t token, size_t most_after) {
  if (drafting_.drafter) drafting_.drafter->add(token);
  if (used_ < checked_.size() && checked_[used_] == token) {
    ++used_;
    ++accepted_;
  } else {
    judge();
    compute(token, most_after);
  }
  decoder_.sequence.computed.push_back(token);
}

void Speculation::judge() {
  if (checked_.empty() && !was_in_vain_) return;
  // Without a clock one right draft pays for a step.
  const double cost = drafting_.costs == nullptr ? 2 : drafting_.costs->single_steps(kind_of_step());
  length_.judge(used_, static_cast<double>(1 + used_) - cost);
}

size_t Speculation::kind_of_step() const { return was_in_vain_ ? DraftCosts::kInVain : 1 + checked_.size(); }

size_t Speculation::wanted(size_t most_after) {
  if (!drafting_.drafter) return 0;
  // The steps of several answers together have rows enough: more take time in proportion.
  if (decoder_.scheduler.decoding_calls() > 1) return 0;
  if (drafting_.costs != nullptr && !drafting_.costs->knows_single()) return 0;
  const auto position = static_cast<uint32_t>(decoder_.sequence.computed.size());
  return std::min<size_t>({length_.next(), most_after, decoder_.engine.score_tokens(position) - 1});
}

void Speculation::compute(int32_t token, size_t most_after) {
  const size_t most = wanted(most_after);
  if (most > 0 && !is_read_) {
    // Once for each answer, as the prompt is: it says nothing about what a draft costs.
    drafting_.drafter->read(decoder_.interrupt);
    is_read_ = true;
  }
  DraftCosts *costs = drafting_.costs;
  const double begin = costs == nullptr ? 0 : costs->now(drafting_.is_on_cpu);
  const bool goes_back = used_ < checked_.size();
  const bool is_alone = decoder_.scheduler.decoding_calls() == 1;
  std::vector<int32_t> tokens = {token};
  was_in_vain_ = false;
  if (most > 0) {
    const auto drafts = drafting_.drafter->draft(most, decoder_.interrupt);
    tokens.insert(tokens.end(), drafts.begin(), drafts.end());
    was_in_vain_ = drafts.empty() && drafting_.drafter->takes_time();
  }
  const auto position = static_cast<uint32_t>(decoder_.sequence.computed.size());
  decoding_.step({tokens, position, goes_back}, rows_);
  checked_.assign(tokens.begin() + 1, tokens.end());
  used_ = 0;
  drafted_ += static_cast<uint32_t>(checked_.size());
  if (costs != nullptr && is_alone) costs->add(kind_of_step(), costs->now(drafting_.is_on_cpu) - begin);
}

}  // namespace se
