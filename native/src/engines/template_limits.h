// Bounds for what a chat template computes: time, values, memory, depth. llama.cpp's Jinja engine has none of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/interrupt.h"
#include "base/memory_limit.h"

namespace jinja {
struct value_t;
}

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
  // The engine asks what kind of value it has, as it does at every level of one that holds others.
  static void look();
  // Between schemas and rules: throws as `step` does once the call is interrupted. They have bounds of their own, each.
  static void check_interrupted();
  // The engine made a value that may hold others. Taken apart here: a million lists, each in the next, would be freed
  // by a million nested calls. Throws std::runtime_error for tuples of too many tuples, which are compared in nested
  // calls.
  static void hold(std::shared_ptr<jinja::value_t> value);

 private:
  void check_depth();
  void drop_unused();

  const Interrupt &interrupt_;
  uint64_t values_left_;
  uint32_t looks_ = 0;
  uintptr_t stack_;
  TemplateLimits *outer_;
  std::string exceeded_;
  MemoryLimit memory_;
  std::vector<std::shared_ptr<jinja::value_t>> holders_;
  size_t next_drop_;  // the number of holders at which it is worth looking for unused ones
};

// Throws std::runtime_error if the expressions or blocks of a template are so long or so deeply nested that its parser,
// which descends into each, would need more stack than a thread has.
void check_template_shape(const std::string &source);

}  // namespace se
