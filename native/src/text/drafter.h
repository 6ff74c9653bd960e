// What guesses the next tokens of a text: the interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/interrupt.h"

namespace se {

class Drafter {
 public:
  virtual ~Drafter() = default;
  // One more token of the text; those of the prompt come first.
  virtual void add(int32_t token) = 0;
  // Computes what it needs of the text so far, which takes long after a long prompt. Throws what the interrupt says.
  virtual void read(const Interrupt &) {}
  // Up to `most` tokens that may come next, valid until the next call. Throws what the interrupt says.
  virtual std::span<const int32_t> draft(size_t most, const Interrupt &interrupt) = 0;
  // Whether asking it takes time worth counting, even where it has no draft.
  virtual bool takes_time() const { return false; }
};

}  // namespace se
