// Read before llama.cpp's Jinja engine in the batch that compiles it: every value that it makes is counted.
#pragma once

// Its own header first, so that only uses of the name are replaced.
#include "jinja/value.h"

namespace se {
// In template_limits.cpp, of what links this.
void template_step();
}  // namespace se

namespace jinja {
template <typename T, typename... Args>
auto mk_counted_val(Args &&...args) {
  se::template_step();
  return mk_val<T>(std::forward<Args>(args)...);
}
}  // namespace jinja

#define mk_val mk_counted_val
