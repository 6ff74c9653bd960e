// Fewer threads after graphs that waited, more after many that did not.
#include "engines/thread_count.h"

#include <algorithm>

namespace se {
namespace {

// Where all threads have a core, the leading one works nearly all the time.
constexpr double kLateShare = 0.7;
constexpr double kCalmShare = 0.95;
// One graph may wait for weights from a disk.
constexpr int kLateGraphs = 2;
// More threads are tried again soon, and less and less often when that was in vain.
constexpr int kLeastCalm = 32;
constexpr int kMostCalm = 1024;

}  // namespace

bool ThreadCount::took(double seconds, double worked_seconds) {
  if (most_ == 1) return false;
  const double share = seconds > 0 ? worked_seconds / seconds : 1;
  late_ = share < kLateShare ? late_ + 1 : 0;
  calm_ = share > kCalmShare ? calm_ + 1 : 0;
  if (now_ > 1 && late_ >= kLateGraphs) {
    now_ /= 2;
    late_ = calm_ = 0;
    calm_before_more_ = std::clamp(2 * calm_before_more_, kLeastCalm, kMostCalm);
    return true;
  }
  if (now_ < most_ && calm_ >= calm_before_more_) {
    now_ = std::min(2 * now_, most_);
    calm_ = 0;
    return true;
  }
  if (now_ == most_ && calm_ >= kMostCalm) calm_before_more_ = 0;
  return false;
}

}  // namespace se
