// Whose turn it is on a handle: one call at a time, never from its own callback, ended early from anywhere.
#pragma once

#include <mutex>
#include <thread>

#include "base/interrupt.h"
#include "base/status.h"

namespace se {

class Turn {
 public:
  // One call on the handle: excludes other threads, refuses calls from its own callback, arms the interrupt.
  class Call {
   public:
    Call(Turn &turn, uint32_t timeout_ms) : turn_(turn) {
      require(turn_.caller_ != std::this_thread::get_id(), "the model is in use by this very thread",
              "do not call the model from its own callback");
      lock_ = std::unique_lock(turn_.mutex_);
      turn_.caller_ = std::this_thread::get_id();
      turn_.interrupt_.arm(timeout_ms);
    }
    ~Call() {
      turn_.interrupt_.disarm();
      turn_.caller_ = std::thread::id();
    }
    Call(const Call &) = delete;
    Call &operator=(const Call &) = delete;

   private:
    Turn &turn_;
    std::unique_lock<std::mutex> lock_;
  };

  // The one function that any thread may call at any time.
  void cancel() { interrupt_.cancel(); }
  // Waits until no call runs.
  void wait() { const std::lock_guard lock(mutex_); }
  const Interrupt &interrupt() const { return interrupt_; }

 private:
  std::mutex mutex_;
  std::thread::id caller_;
  Interrupt interrupt_;
};

}  // namespace se
