// Chooses a sequence for a call, and lets calls wait for one.
#include "text/sequences.h"

#include <algorithm>
#include <chrono>

namespace se {
namespace {

// A cancelled call that waits for a sequence notices within this time.
constexpr auto kSequenceWait = std::chrono::milliseconds(20);

}  // namespace

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

Sequences::Sequences(uint32_t count) : places_(count) {
  for (uint32_t i = 0; i < count; ++i) places_[i].sequence.index = i;
}

bool Sequences::has_free() const {
  return std::any_of(places_.begin(), places_.end(), [](const Place &place) { return !place.is_taken; });
}

size_t Sequences::choose(std::span<const int32_t> prompt, const std::string &key) const {
  size_t oldest = places_.size(), continued = places_.size(), most = 0;
  for (size_t i = 0; i < places_.size(); ++i) {
    const Place &place = places_[i];
    if (place.is_taken) continue;
    if (!key.empty() && place.sequence.key == key) return i;
    const size_t common = common_prefix(place.sequence.computed, prompt);
    // Two conversations often begin with the same instructions: that alone must not cost the first one its place.
    if (common > most && 2 * common >= place.sequence.computed.size()) {
      continued = i;
      most = common;
    }
    if (oldest == places_.size() || place.used < places_[oldest].used) oldest = i;
  }
  return continued != places_.size() ? continued : oldest;
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
  Place &place = places_[chosen];
  place.is_taken = true;
  place.used = number;
  place.sequence.key = key;
  return {*this, chosen};
}

void Sequences::give_back(size_t chosen) {
  const std::lock_guard lock(mutex_);
  Place &place = places_[chosen];
  place.is_taken = false;
  if (place.forgets) place.sequence.computed.clear();
  place.forgets = false;
  changed_.notify_all();
}

void Sequences::forget() {
  const std::lock_guard lock(mutex_);
  for (Place &place : places_) {
    place.forgets = place.is_taken;
    if (!place.is_taken) place.sequence.computed.clear();
  }
}

}  // namespace se
