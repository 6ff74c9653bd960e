// How long steps of one row and of several take, as measured: what tells whether drafts save time.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <mutex>

#include "base/clock.h"

namespace se {

// Any thread may call it.
class DraftCosts {
 public:
  static constexpr size_t kMostRows = 32;
  // Of a step of one row, before which a draft was asked for in vain.
  static constexpr size_t kInVain = 0;

  // What begin and end are measured by. A thread that computes on a CPU does its share of every step, so its own time
  // tells how long one takes, also where the cores have other work; on a GPU it only waits.
  double now(bool is_on_cpu) const {
    return is_on_cpu ? thread_cpu_seconds() : std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
  }

  void add(size_t rows, double seconds) {
    const std::lock_guard lock(mutex_);
    Row &row = rows_[std::min(rows, kMostRows)];
    // The fastest is the one that nothing else disturbed; it is forgotten slowly, as a longer context takes longer.
    row.seconds = row.count == 0 ? seconds : std::min(seconds, row.seconds * kForgets);
    ++row.count;
  }

  // Whether single steps were measured well enough to compare with them.
  bool knows_single() const {
    const std::lock_guard lock(mutex_);
    return rows_[1].count >= kEnough;
  }

  // How many single steps a step of `rows` rows takes the time of.
  double single_steps(size_t rows) const {
    const std::lock_guard lock(mutex_);
    const Row &row = rows_[std::min(rows, kMostRows)];
    return row.count == 0 || rows_[1].count == 0 ? 1 : row.seconds / std::max(rows_[1].seconds, kLeastSeconds);
  }

 private:
  struct Row {
    double seconds = 0;
    size_t count = 0;
  };
  static constexpr double kForgets = 1.01;
  static constexpr size_t kEnough = 4;
  static constexpr double kLeastSeconds = 1e-9;

  mutable std::mutex mutex_;
  std::array<Row, kMostRows + 1> rows_{};
};

}  // namespace se
