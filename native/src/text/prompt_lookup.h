// Guesses that a text goes on as it did at an earlier place that ends with the same tokens (prompt lookup decoding).
//
// Places are found by hash chains, as in LZ77 (RFC 1951, section 4): each token costs a bounded number of steps,
// however long the text is and whatever it contains.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/drafter.h"

namespace se {

class PromptLookup : public Drafter {
 public:
  PromptLookup();

  void add(int32_t token) override;
  std::span<const int32_t> draft(size_t most, const Interrupt &interrupt) override;

 private:
  size_t slot() const;
  size_t length_at(size_t place) const;
  void find();

  std::vector<int32_t> tokens_;
  // A place is the number of tokens before it; 0: none. Of each hash the newest place, and of each place the one before
  // it with the same hash.
  std::vector<uint32_t> newest_;
  std::vector<uint32_t> earlier_;
  // The place that the text now repeats, and how many tokens before it are the same.
  size_t copied_ = 0;
  size_t length_ = 0;
  std::vector<int32_t> drafted_;
};

}  // namespace se
