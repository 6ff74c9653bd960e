// Elapsed time: the clock of every figure that we report.
#pragma once

#include <chrono>

namespace se {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace se
