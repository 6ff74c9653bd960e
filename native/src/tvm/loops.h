// Runs the parallel loops of compiled code on our threads: TVM's own pool gives equal shares to spinning ones.
#pragma once

#include <filesystem>
#include <vector>

#include "base/interrupt.h"
#include "base/thread_pool.h"

namespace se {

// Scratch memory of a kernel, on a device as TVM numbers them.
struct Workspace {
  int device_type;
  int device_id;
  void *memory;
};

// While it lives the loops of this thread's call of compiled code run on `pool`, and end when `interrupt` is raised.
// At its end what a kernel that was ended has left is freed.
class LoopScope {
 public:
  LoopScope(ThreadPool &pool, const Interrupt &interrupt);
  ~LoopScope();
  LoopScope(const LoopScope &) = delete;
  LoopScope &operator=(const LoopScope &) = delete;

  ThreadPool &pool;
  const Interrupt &interrupt;
  std::vector<Workspace> workspaces = {};

 private:
  LoopScope *outer_;
};

#if !defined(SE_TVM_FROM_SOURCE)
// Redirects what this library, which TVM has loaded, calls for loops and scratch memory to here. A runtime of our own
// build does so by itself.
void take_over_loops(const std::filesystem::path &library);
#endif

}  // namespace se
