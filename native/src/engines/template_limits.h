// Bounds for what a chat template computes: time, values, depth. llama.cpp's Jinja engine has none of its own.
#pragma once

#include <cstdint>
#include <string>

#include "base/interrupt.h"

namespace se {

// While one exists, everything that the Jinja engine does on this thread is bounded by it.
class TemplateLimits {
 public:
  TemplateLimits(const Interrupt &interrupt, uint64_t most_values);
  ~TemplateLimits();
  TemplateLimits(const TemplateLimits &) = delete;
  TemplateLimits &operator=(const TemplateLimits &) = delete;

  // Throws CANCELLED or TIMEOUT, or `status` if the template computed too much. Llama.cpp catches exceptions of
  // templates in some places and wraps them in others, so this is asked afterwards, whatever came out.
  void check(se_status status) const;

  // The engine is about to make a value: throws std::runtime_error at a bound, then at every further call.
  static void step();

 private:
  const Interrupt &interrupt_;
  uint64_t values_left_;
  uintptr_t stack_;
  TemplateLimits *outer_;
  std::string exceeded_;
};

// Throws std::runtime_error if the expressions or blocks of a template are so long or so deeply nested that its parser,
// which descends into each, would need more stack than a thread has.
void check_template_shape(const std::string &source);

}  // namespace se
