// Guards the calls on a handle: one at a time, never from a callback of its own, cancelled from any thread.
#pragma once

#include <mutex>
#include <thread>

#include "base/interrupt.h"
#include "base/status.h"

namespace se {

class CallGuard {
 public:
  // One call on the handle: excludes other threads, refuses calls from its own callback, arms the interrupt.
  class Call {
   public:
    Call(CallGuard &guard, uint32_t timeout_ms, uint64_t call_id) : guard_(guard) {
      require(guard_.caller_ != std::this_thread::get_id(), "the model is in use by this very thread",
              "do not call the model from its own callback");
      lock_ = std::unique_lock(guard_.mutex_);
      guard_.caller_ = std::this_thread::get_id();
      guard_.interrupt_.arm(timeout_ms, call_id);
    }
    ~Call() {
      guard_.interrupt_.disarm();
      guard_.caller_ = std::thread::id();
    }
    Call(const Call &) = delete;
    Call &operator=(const Call &) = delete;

    const Interrupt &interrupt() const { return guard_.interrupt_; }

   private:
    CallGuard &guard_;
    std::unique_lock<std::mutex> lock_;
  };

  // The two functions that any thread may call at any time.
  void cancel() { interrupt_.cancel(); }
  void cancel_call(uint64_t call_id) { interrupt_.cancel_call(call_id); }
  // Whether this is a callback of a running call.
  bool is_used_by_this_thread() const { return caller_ == std::this_thread::get_id(); }
  // Waits until no call is running.
  void wait() { const std::lock_guard lock(mutex_); }

 private:
  std::mutex mutex_;
  std::thread::id caller_;
  Interrupt interrupt_;
};

}  // namespace se
