// Hash chains over the last tokens, and a copy that goes on as long as it is right.
#include "text/prompt_lookup.h"

#include <algorithm>

namespace se {
namespace {

// Fewer equal tokens are chance; more than the most are not compared.
constexpr size_t kLeastLength = 3;
constexpr size_t kMostLength = 32;
// Of one hash so many places are compared, the newest first.
constexpr size_t kMostPlaces = 16;
constexpr int kSlotBits = 14;

}  // namespace

PromptLookup::PromptLookup() : newest_(size_t{1} << kSlotBits) {}

// Of the last tokens. Texts that collide on purpose only make drafts worse.
size_t PromptLookup::slot() const {
  uint64_t mixed = 0;
  for (size_t i = tokens_.size() - kLeastLength; i < tokens_.size(); ++i) {
    mixed = (mixed + static_cast<uint32_t>(tokens_[i]) + 1) * 0x9E3779B97F4A7C15;
  }
  return static_cast<size_t>(mixed >> (64 - kSlotBits));
}

void PromptLookup::add(int32_t token) {
  const bool goes_on = copied_ != 0 && tokens_[copied_] == token;
  copied_ = goes_on ? copied_ + 1 : 0;
  length_ = goes_on ? length_ + 1 : 0;
  tokens_.push_back(token);
  earlier_.push_back(0);
  if (tokens_.size() < kLeastLength) return;
  uint32_t &newest = newest_[slot()];
  earlier_.back() = newest;
  newest = static_cast<uint32_t>(tokens_.size());
}

size_t PromptLookup::length_at(size_t place) const {
  size_t length = 0;
  const size_t most = std::min(place, kMostLength);
  while (length < most && tokens_[place - 1 - length] == tokens_[tokens_.size() - 1 - length]) ++length;
  return length < kLeastLength ? 0 : length;
}

void PromptLookup::find() {
  if (length_ >= kMostLength || earlier_.empty()) return;
  size_t place = earlier_.back();
  for (size_t i = 0; i < kMostPlaces && place != 0; ++i) {
    const size_t length = length_at(place);
    if (length > length_) {
      length_ = length;
      copied_ = place;
    }
    place = earlier_[place - 1];
  }
}

std::span<const int32_t> PromptLookup::draft(size_t most, const Interrupt &) {
  find();
  drafted_.clear();
  // A short repetition is less likely to go on for long.
  const size_t count = std::min(most, length_);
  for (size_t i = 0; i < count; ++i) {
    // The text may repeat what is drafted just now, as in "ha ha ha".
    const size_t place = copied_ + i;
    drafted_.push_back(place < tokens_.size() ? tokens_[place] : drafted_[place - tokens_.size()]);
  }
  return drafted_;
}

}  // namespace se
