// Chooses a sequence for a call, and lets calls wait for one.
#include "text/sequences.h"

#include <algorithm>
#include <chrono>
#include <tuple>

namespace se {
namespace {

// A cancelled call that waits for a sequence notices within this time.
constexpr auto kSequenceWait = std::chrono::milliseconds(20);
// What asks for the answer at the end of a prompt is another text once the answer is there.
constexpr size_t kPromptEnd = 8;
// Prefixes that differ by less are of one length: two unrelated texts may begin with the same few tokens.
constexpr size_t kChance = 16;

}  // namespace

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

Sequences::Sequences(uint32_t count) : slots_(count) {
  for (uint32_t i = 0; i < count; ++i) slots_[i].sequence.index = i;
}

bool Sequences::has_free() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const Slot &slot) { return !slot.is_taken; });
}

size_t Sequences::choose(std::span<const int32_t> prompt, const std::string &key) const {
  // Conversations often begin with the same instructions: that alone must not cost the first one its keys and values.
  const auto rank = [&](const Slot &slot) {
    const Sequence &sequence = slot.sequence;
    const size_t common = common_prefix(sequence.computed, prompt);
    const bool is_empty = sequence.computed.empty();
    const bool has_key = !key.empty() && sequence.key == key;
    const size_t most_lost = std::min(kPromptEnd, sequence.prompt_tokens / 2);
    const bool is_continued = !is_empty && common + most_lost >= sequence.prompt_tokens;
    return std::tuple(has_key, is_continued, is_empty, common / kChance, UINT64_MAX - slot.used);
  };
  size_t best = slots_.size();
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].is_taken && (best == slots_.size() || rank(slots_[i]) > rank(slots_[best]))) best = i;
  }
  return best;
}

Sequences::Lease Sequences::take(std::span<const int32_t> prompt, const std::string &key, const Interrupt &interrupt) {
  std::unique_lock lock(mutex_);
  const uint64_t number = ++calls_;
  waiting_.push_back(number);
  const auto leave = [&] {
    std::erase(waiting_, number);
    changed_.notify_all();
  };
  while (waiting_.front() != number || !has_free()) {
    if (interrupt.raised()) {
      leave();
      interrupt.check();
    }
    changed_.wait_for(lock, kSequenceWait);
  }
  leave();
  const size_t chosen = choose(prompt, key);
  Slot &slot = slots_[chosen];
  slot.is_taken = true;
  slot.used = number;
  slot.sequence.key = key;
  return {*this, chosen};
}

Sequences::Lease Sequences::take_used(const std::string &key, const Interrupt &interrupt) {
  std::unique_lock lock(mutex_);
  while (true) {
    size_t found = slots_.size();
    for (size_t i = 0; i < slots_.size(); ++i) {
      const Slot &slot = slots_[i];
      if (slot.used == 0 || (!key.empty() && slot.sequence.key != key)) continue;
      if (found == slots_.size() || slot.used > slots_[found].used) found = i;
    }
    if (found == slots_.size()) {
      throw Error(SE_NOT_FOUND,
                  key.empty() ? "there is no conversation yet" : "there is no conversation " + ticked(key));
    }
    if (!slots_[found].is_taken) {
      slots_[found].is_taken = true;
      return {*this, found};
    }
    interrupt.check();
    changed_.wait_for(lock, kSequenceWait);
  }
}

void Sequences::give_back(size_t chosen) {
  const std::lock_guard lock(mutex_);
  Slot &slot = slots_[chosen];
  slot.is_taken = false;
  if (slot.forgets) slot.sequence.computed.clear();
  slot.forgets = false;
  changed_.notify_all();
}

void Sequences::forget() {
  const std::lock_guard lock(mutex_);
  for (Slot &slot : slots_) {
    slot.forgets = slot.is_taken;
    if (!slot.is_taken) slot.sequence.computed.clear();
  }
}

}  // namespace se
