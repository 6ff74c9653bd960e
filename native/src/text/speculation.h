// Speculative decoding of one answer: the engine checks drafted tokens several at a time, and what is chosen decides.
//
// Every token is chosen from the model's own logits after the tokens before it, one after the other, as without drafts;
// a draft only lets the next logits be there already. So seeds, penalties, grammars and ends mean what they always do.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "text/decoder.h"
#include "text/draft_costs.h"
#include "text/draft_length.h"
#include "text/drafter.h"

namespace se {

// What drafts for an answer; no drafter: nothing does.
struct Drafting {
  std::unique_ptr<Drafter> drafter = nullptr;
  uint32_t most_tokens = 0;     // at once
  DraftCosts *costs = nullptr;  // null: drafts are judged by the tokens alone, the same every time
  bool is_on_cpu = true;        // all that computes for it
};

class Speculation {
 public:
  // `logits`: after the prompt.
  Speculation(const Decoder &decoder, std::vector<float> logits, Drafting drafting);

  // After the last token, a row of the vocabulary's size.
  std::span<const float> logits() const;
  // `token` comes next, and `most_after` tokens may follow it. Computes the logits after it, if they are not there yet.
  void advance(int32_t token, size_t most_after);

  uint32_t drafted() const { return drafted_; }    // tokens that were checked
  uint32_t accepted() const { return accepted_; }  // of these, tokens that became text

 private:
  void compute(int32_t token, size_t most_after);
  // How many drafts are worth checking now.
  size_t wanted(size_t most_after);
  void judge();
  // As DraftCosts counts them: the number of rows, or kInVain.
  size_t kind_of_step() const;

  const Decoder decoder_;
  Scheduler::Decoding decoding_;
  Drafting drafting_;
  DraftLength length_;
  std::vector<float> rows_;       // logits after a token and the drafts that follow it
  std::vector<int32_t> checked_;  // these drafts
  size_t used_ = 0;               // how many of them became text
  bool is_read_ = false;          // the drafter has read the prompt
  bool was_in_vain_ = false;      // a drafter took time and had no draft
  uint32_t drafted_ = 0;
  uint32_t accepted_ = 0;
};

}  // namespace se
