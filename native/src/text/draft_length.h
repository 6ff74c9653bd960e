// How many tokens to draft: more while the drafts are right, fewer and less often while they are not worth it.
#pragma once

#include <algorithm>
#include <cstddef>

namespace se {

class DraftLength {
 public:
  explicit DraftLength(size_t most) : most_(most) {}

  // Of the next draft; 0: none this time.
  size_t next() {
    if (pause_ == 0) return std::min(length_, most_);
    --pause_;
    return 0;
  }

  // `worth`: how many single steps the check has saved; below 0 where it took longer than they would have.
  void judge(size_t accepted, double worth) {
    length_ = kLeast;
    // As far as drafts were right, and further if nothing was wrong.
    while (length_ <= accepted && length_ < most_) length_ = 2 * length_ + 1;
    balance_ = kKept * balance_ + worth;
    if (balance_ >= 0) {
      next_pause_ = 0;
      return;
    }
    pause_ = next_pause_;
    next_pause_ = std::min(kLongestPause, 2 * next_pause_ + 1);
    length_ = kLeast;
  }

 private:
  // With the token before them 4, 8, 16, … rows: matrix products on CPUs take 4 rows in about the time of 2.
  static constexpr size_t kLeast = 3;
  // Where drafts are in vain, one step of so many still tries.
  static constexpr size_t kLongestPause = 127;
  // How much the past counts.
  static constexpr double kKept = 0.75;

  size_t most_;
  size_t length_ = kLeast;
  double balance_ = 0;
  size_t pause_ = 0;
  size_t next_pause_ = 0;
};

}  // namespace se
