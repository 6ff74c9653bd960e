// Threads for the parallel loops of compiled models: pieces of a loop are claimed one by one, not assigned beforehand.
//
// A loop that is split evenly beforehand waits for its slowest part, so one other busy process halves its speed. Here a
// thread that was preempted claims fewer pieces, and one that did not wake in time claims none.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace se {

class ThreadPool {
 public:
  // Runs piece `index` of `count`. Must not throw; not 0 means failure.
  using Piece = int (*)(int index, int count, void *context);

  // `threads` counts the calling thread.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs `count` pieces and returns when all are done; the first failure's value, or 0. The caller works too. From
  // inside a piece it runs the pieces one after the other. One thread at a time may call it from outside.
  int run(Piece piece, int count, void *context);

 private:
  void work();
  bool claim_and_run();
  void wake_sleepers();

  std::vector<std::thread> workers_;

  // The current loop. `ticket_` is generation << 32 | pieces << 16 | next piece: a claim that succeeds proves that the
  // fields below belong to the same loop.
  alignas(64) std::atomic<uint64_t> ticket_ = 0;
  std::atomic<Piece> piece_ = nullptr;
  std::atomic<void *> context_ = nullptr;
  alignas(64) std::atomic<uint32_t> done_ = 0;
  std::atomic<int> failure_ = 0;
  alignas(64) std::atomic<int32_t> wake_ = 0;
  std::atomic<int> sleepers_ = 0;
  std::atomic<bool> closing_ = false;
};

}  // namespace se
