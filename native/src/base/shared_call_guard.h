// Guards the calls on a handle that takes many at once: never from a callback of its own, each cancelled by its id.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/interrupt.h"
#include "base/status.h"

namespace se {

// What CallGuard is for handles that take one call at a time.
class SharedCallGuard {
 public:
  class Call {
   public:
    Call(SharedCallGuard &guard, uint32_t timeout_ms, uint64_t call_id) : guard_(guard) {
      interrupt_.arm(timeout_ms, call_id);
      require(!guard_.is_used_by_this_thread(), "the model is in use by this very thread",
              "do not call the model from its own callback");
      const std::lock_guard lock(guard_.mutex_);
      guard_.running_.push_back(this);
    }
    ~Call() {
      const std::lock_guard lock(guard_.mutex_);
      std::erase(guard_.running_, this);
      guard_.ended_.notify_all();
    }
    Call(const Call &) = delete;
    Call &operator=(const Call &) = delete;

    const Interrupt &interrupt() const { return interrupt_; }

   private:
    friend class SharedCallGuard;
    SharedCallGuard &guard_;
    const std::thread::id caller_ = std::this_thread::get_id();
    Interrupt interrupt_;
  };

  // Whether this is a callback of a running call.
  bool is_used_by_this_thread() {
    const std::lock_guard lock(mutex_);
    const auto is_ours = [](const Call *call) { return call->caller_ == std::this_thread::get_id(); };
    return std::any_of(running_.begin(), running_.end(), is_ours);
  }
  // All calls, or the one with this id. Any thread.
  void cancel() {
    const std::lock_guard lock(mutex_);
    for (Call *call : running_) call->interrupt_.cancel();
  }
  void cancel_call(uint64_t call_id) {
    const std::lock_guard lock(mutex_);
    for (Call *call : running_) call->interrupt_.cancel_call(call_id);
  }
  // Waits until no call is running.
  void wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return running_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<Call *> running_;
};

}  // namespace se
