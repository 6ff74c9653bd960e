// Replaces TVM's launcher of parallel loops, and notes the scratch memory of the code that runs them.
#include "tvm/loops.h"

#if !defined(SE_TVM_FROM_SOURCE)
#include <dlfcn.h>
#endif
#include <tvm/ffi/c_api.h>
#include <tvm/runtime/c_backend_api.h>

#include <mutex>
#include <new>
#include <utility>

#include "base/status.h"

#if defined(SE_TVM_FROM_SOURCE)
// TVM's own, under another name (cmake/tvm_runtime.cmake).
extern "C" void *TVMBackendAllocWorkspaceOfPool(int device_type, int device_id, uint64_t bytes, int dtype_code,
                                                int dtype_bits);
extern "C" int TVMBackendFreeWorkspaceOfPool(int device_type, int device_id, void *memory);
#endif

namespace se {
namespace {

// The size of pieces: small enough that a slow thread does not delay the others, large enough to be cheap.
constexpr int kPiecesPerThread = 4;

// The library's hook has no argument for what a loop needs.
thread_local LoopScope *running = nullptr;

// TVM's own functions for scratch memory, which it pools for each thread.
#if defined(SE_TVM_FROM_SOURCE)
constexpr auto *kAllocate = &TVMBackendAllocWorkspaceOfPool;
constexpr auto *kFree = &TVMBackendFreeWorkspaceOfPool;
#else
constexpr auto *kAllocate = &TVMBackendAllocWorkspace;
constexpr auto *kFree = &TVMBackendFreeWorkspace;
#endif

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

// Compiled code returns at once when a loop of it fails, and frees none of this then.
void *allocate_workspace(int device_type, int device_id, uint64_t bytes, int dtype_code, int dtype_bits) {
  void *memory = kAllocate(device_type, device_id, bytes, dtype_code, dtype_bits);
  if (running == nullptr || memory == nullptr) return memory;
  try {
    running->workspaces.push_back({device_type, device_id, memory});
  } catch (const std::bad_alloc &) {
    // No exception may pass through compiled code, which takes this for a failure.
    kFree(device_type, device_id, memory);
    return nullptr;
  }
  return memory;
}

int free_workspace(int device_type, int device_id, void *memory) {
  if (running != nullptr) {
    std::erase_if(running->workspaces, [&](const Workspace &one) { return one.memory == memory; });
  }
  return kFree(device_type, device_id, memory);
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

LoopScope::~LoopScope() {
  running = outer_;
  for (const Workspace &left : workspaces) kFree(left.device_type, left.device_id, left.memory);
}

#if !defined(SE_TVM_FROM_SOURCE)

// TVM's runtime has set the library's hooks to its own functions.
void take_over_loops(const std::filesystem::path &path) {
  void *library = ::dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error(SE_LOAD_FAILED, "cannot load " + ticked(path.string()) + ": " + ::dlerror(), "package the model again");
  }
  replace_symbol(library, "__TVMBackendParallelLaunch", reinterpret_cast<void *>(&launch));
  replace_symbol(library, "__TVMBackendParallelBarrier", reinterpret_cast<void *>(&refuse_barrier));
  replace_symbol(library, "__TVMBackendAllocWorkspace", reinterpret_cast<void *>(&allocate_workspace));
  replace_symbol(library, "__TVMBackendFreeWorkspace", reinterpret_cast<void *>(&free_workspace));
}

#endif

}  // namespace se

#if defined(SE_TVM_FROM_SOURCE)

// A runtime of our own build has these functions from here: the first two instead of its own thread pool, the others
// before those of its pool (cmake/tvm_runtime.cmake).
int TVMBackendParallelLaunch(FTVMParallelLambda body, void *data, int task_count) {
  return se::launch(body, data, task_count);
}

int TVMBackendParallelBarrier(int task_id, TVMParallelGroupEnv *environment) {
  return se::refuse_barrier(task_id, environment);
}

void *TVMBackendAllocWorkspace(int device_type, int device_id, uint64_t bytes, int dtype_code, int dtype_bits) {
  return se::allocate_workspace(device_type, device_id, bytes, dtype_code, dtype_bits);
}

int TVMBackendFreeWorkspace(int device_type, int device_id, void *memory) {
  return se::free_workspace(device_type, device_id, memory);
}

#endif
