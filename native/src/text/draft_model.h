// Guesses what comes next with a second, smaller model of the same vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/drafter.h"
#include "text/scheduler.h"
#include "text/sequences.h"
#include "text/tokenizer.h"

namespace se {

// FORMAT_MISMATCH, naming the first token that differs, unless every token of one is that of the other; the longer
// vocabulary may end with unused tokens.
void check_same_tokens(const Tokenizer &model, const Tokenizer &draft);

class DraftModel : public Drafter {
 public:
  // All arguments outlive this; `sequence` is one of the engine's that nobody else uses. Drafts only the first
  // `vocabulary` tokens.
  DraftModel(Scheduler &scheduler, const Engine &engine, Sequence &sequence, uint32_t vocabulary);

  void add(int32_t token) override { tokens_.push_back(token); }
  void read(const Interrupt &interrupt) override;
  std::span<const int32_t> draft(size_t most, const Interrupt &interrupt) override;
  bool takes_time() const override { return true; }

 private:
  bool can_draft() const;

  Scheduler &scheduler_;
  const Engine &engine_;
  Sequence &sequence_;
  uint32_t vocabulary_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> drafted_;
};

}  // namespace se
