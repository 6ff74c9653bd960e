// Which rotation a text gets where that depends on its length (LongRoPE), and what must be computed again for it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace se {

class RopeHistory {
 public:
  // Texts of more than `switch_tokens` tokens get the other rotation, in all of their places.
  explicit RopeHistory(uint32_t switch_tokens) : switch_tokens_(switch_tokens) {}

  // `tokens` come next, at `position`. What was computed with the rotation for short texts is of no use to a long one,
  // nor the other way round: all before `position` is then computed again, as transformers does it.
  void choose(std::span<const int32_t> tokens, uint32_t position) {
    if (position > history_.size()) throw Error(SE_INTERNAL, "tokens before position " + std::to_string(position));
    const bool beyond = position + tokens.size() > switch_tokens_;
    computed_ = beyond == is_beyond_ ? std::min(computed_, position) : 0;
    is_beyond_ = beyond;
    position_ = position;
    history_.resize(position);
    history_.insert(history_.end(), tokens.begin(), tokens.end());
  }
  bool is_beyond() const { return is_beyond_; }

  // How many tokens from the first on are computed with the rotation that was chosen.
  uint32_t computed() const { return computed_; }
  void set_computed(uint32_t tokens) { computed_ = tokens; }
  // Up to `most` of those that come next and lie before the position; empty when all are computed.
  std::span<const int32_t> missing(uint32_t most) const {
    const uint32_t count = computed_ < position_ ? std::min(most, position_ - computed_) : 0;
    return std::span(history_).subspan(std::min(computed_, position_), count);
  }

  // How many tokens from `position` on one rotation serves.
  uint32_t tokens_from(uint32_t position) const {
    return position >= switch_tokens_ ? UINT32_MAX : switch_tokens_ - position;
  }

 private:
  uint32_t switch_tokens_;
  bool is_beyond_ = false;
  uint32_t position_ = 0, computed_ = 0;
  std::vector<int32_t> history_;
};

}  // namespace se
