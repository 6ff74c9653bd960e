// Replaces TVM's launcher of parallel loops.
#include "tvm/loops.h"

#if !defined(SE_TVM_FROM_SOURCE)
#include <dlfcn.h>
#endif
#include <tvm/ffi/c_api.h>
#include <tvm/runtime/c_backend_api.h>

#include <mutex>
#include <utility>

#include "base/status.h"

namespace se {
namespace {

// The size of pieces: small enough that a slow thread does not delay the others, large enough to be cheap.
constexpr int kPiecesPerThread = 4;

// The library's hook has no argument for what a loop needs.
thread_local const LoopScope *running = nullptr;

// One parallel loop of the compiled code that runs on the pool.
struct Loop {
  FTVMParallelLambda body;
  void *data;
  std::mutex mutex;
  TVMFFIObjectHandle error = nullptr;  // of the first piece that failed, taken off its thread
};

int run_piece(int index, int count, void *context) {
  auto *loop = static_cast<Loop *>(context);
  TVMParallelGroupEnv environment{nullptr, count};
  const int status = loop->body(index, &environment, loop->data);
  if (status == 0) return 0;
  TVMFFIObjectHandle error = nullptr;
  TVMFFIErrorMoveFromRaised(&error);
  const std::lock_guard lock(loop->mutex);
  std::swap(loop->error, error);
  if (error != nullptr) TVMFFIObjectDecRef(error);
  return status;
}

// Replaces TVM's own launcher, which gives equal shares to spinning threads.
int launch(FTVMParallelLambda body, void *data, int task_count) {
  if (running != nullptr && running->interrupt.raised()) {
    TVMFFIErrorSetRaisedFromCStr("RuntimeError", "interrupted");
    return -1;
  }
  Loop loop{body, data, {}};
  const int threads = running == nullptr ? 1 : running->pool.threads();
  const int count = task_count > 0 ? task_count : threads == 1 ? 1 : threads * kPiecesPerThread;
  int status = 0;
  if (running != nullptr) {
    status = running->pool.run(run_piece, count, &loop);
  } else {
    for (int i = 0; i < count && status == 0; ++i) status = run_piece(i, count, &loop);
  }
  if (status == 0) return 0;
  if (loop.error != nullptr) {
    TVMFFIErrorSetRaised(loop.error);
    TVMFFIObjectDecRef(loop.error);
  }
  return -1;
}

// Pieces may run one after the other, so code that waits for all of them cannot run.
int refuse_barrier(int, TVMParallelGroupEnv *) {
  TVMFFIErrorSetRaisedFromCStr("RuntimeError", "the compiled model uses barriers, which this runtime does not offer");
  return -1;
}

#if !defined(SE_TVM_FROM_SOURCE)

// A module without the slot calls no such function: LLVM drops the slots that nothing uses.
void replace_symbol(void *library, const char *name, void *function) {
  if (void *slot = ::dlsym(library, name); slot != nullptr) *static_cast<void **>(slot) = function;
}

#endif

}  // namespace

LoopScope::LoopScope(ThreadPool &threads, const Interrupt &raised)
    : pool(threads), interrupt(raised), outer_(std::exchange(running, this)) {}

LoopScope::~LoopScope() { running = outer_; }

#if !defined(SE_TVM_FROM_SOURCE)

// TVM's runtime has set the library's hooks to its own functions.
void take_over_loops(const std::filesystem::path &path) {
  void *library = ::dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error(SE_LOAD_FAILED, "cannot load " + ticked(path.string()) + ": " + ::dlerror(), "package the model again");
  }
  replace_symbol(library, "__TVMBackendParallelLaunch", reinterpret_cast<void *>(&launch));
  replace_symbol(library, "__TVMBackendParallelBarrier", reinterpret_cast<void *>(&refuse_barrier));
}

#endif

}  // namespace se

#if defined(SE_TVM_FROM_SOURCE)

// A runtime of our own build has these two functions from here, instead of its own thread pool.
int TVMBackendParallelLaunch(FTVMParallelLambda body, void *data, int task_count) {
  return se::launch(body, data, task_count);
}

int TVMBackendParallelBarrier(int task_id, TVMParallelGroupEnv *environment) {
  return se::refuse_barrier(task_id, environment);
}

#endif
