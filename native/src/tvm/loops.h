// Runs the parallel loops of compiled code on our threads: TVM's own pool gives equal shares to spinning ones.
#pragma once

#include <filesystem>

#include "base/interrupt.h"
#include "base/thread_pool.h"

namespace se {

// While it lives the loops of this thread's call of compiled code run on `pool`, and end when `interrupt` is raised.
class LoopScope {
 public:
  LoopScope(ThreadPool &pool, const Interrupt &interrupt);
  ~LoopScope();
  LoopScope(const LoopScope &) = delete;
  LoopScope &operator=(const LoopScope &) = delete;

  ThreadPool &pool;
  const Interrupt &interrupt;

 private:
  const LoopScope *outer_;
};

#if !defined(SE_TVM_FROM_SOURCE)
// Redirects the loops of this library, which TVM has loaded, to here. A runtime of our own build does so by itself.
void take_over_loops(const std::filesystem::path &library);
#endif

}  // namespace se
