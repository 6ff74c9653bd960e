// The two reasons to stop a running call early: another thread cancelled it, or its time ran out.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>

#include "base/status.h"

namespace se {

// Armed by the thread that runs a call, checked by the engines between pieces of work, cancelled from any thread.
class Interrupt {
 public:
  using Clock = std::chrono::steady_clock;

  // A call begins. `timeout_ms` 0: no limit; `call_id` 0: none.
  void arm(uint32_t timeout_ms, uint64_t call_id) {
    const std::lock_guard lock(mutex_);
    timeout_ms_ = timeout_ms;
    call_id_ = call_id;
    deadline_ = Clock::now() + std::chrono::milliseconds(timeout_ms);
    cancelled_ = false;
    running_ = true;
  }

  // The call ended: a later cancel has no effect.
  void disarm() {
    const std::lock_guard lock(mutex_);
    running_ = false;
    cancelled_ = false;
  }

  void cancel() {
    const std::lock_guard lock(mutex_);
    if (running_) cancelled_ = true;
  }

  // Only if this call is running.
  void cancel_call(uint64_t call_id) {
    const std::lock_guard lock(mutex_);
    if (running_ && call_id != 0 && call_id == call_id_) cancelled_ = true;
  }

  // Called by engines from any thread of theirs, often: must be cheap.
  bool raised() const {
    return cancelled_.load(std::memory_order_relaxed) || (timeout_ms_ != 0 && Clock::now() >= deadline_);
  }

  void check() const {
    if (cancelled_.load(std::memory_order_relaxed)) throw Error(SE_CANCELLED, "the call was cancelled");
    if (timeout_ms_ != 0 && Clock::now() >= deadline_) {
      throw Error(SE_TIMEOUT, "the call took longer than the " + std::to_string(timeout_ms_) + " ms that were allowed",
                  "allow more time, ask for fewer tokens or shorten the prompt");
    }
  }

 private:
  std::mutex mutex_;
  std::atomic<bool> cancelled_ = false;
  bool running_ = false;
  uint32_t timeout_ms_ = 0;
  uint64_t call_id_ = 0;
  Clock::time_point deadline_;
};

}  // namespace se
