// Chooses the rotation of a text if that depends on its length (LongRoPE), and what must be recomputed for it.
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
  // Texts of more than `switch_tokens` tokens get the other rotation, at all positions.
  explicit RopeHistory(uint32_t switch_tokens) : switch_tokens_(switch_tokens) {}

  // `tokens` come next, at `position`. What was computed with the rotation for short texts is useless for a long one,
  // and the other way round: everything before `position` is then recomputed, as transformers does.
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

  // How many tokens from the first on are computed with the chosen rotation.
  uint32_t computed() const { return computed_; }
  void set_computed(uint32_t tokens) { computed_ = tokens; }
  // Up to `most` of the next tokens before the position; empty when all are computed.
  std::span<const int32_t> missing(uint32_t most) const {
    const uint32_t count = computed_ < position_ ? std::min(most, position_ - computed_) : 0;
    return std::span(history_).subspan(std::min(computed_, position_), count);
  }

  // How many tokens from `position` on have the same rotation as the first of them.
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
