// Runs a compiled module: loads it, maps its weights, holds its KV cache, gives its loops our threads.
#include "tvm_engine.h"

#if !defined(SE_TVM_FROM_SOURCE)
#include <dlfcn.h>
#endif
#include <sys/stat.h>
#include <tvm/runtime/c_backend_api.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "../cpu.h"
#include "../log.h"
#include "../safetensors.h"
#include "../status.h"
#include "../thread_pool.h"
#include "tvm_objects.h"
#include "tvm_watch.h"

namespace se {
namespace {

// How finely a loop is cut: small enough that a slow thread does not hold up the others, large enough to be cheap.
constexpr int kPiecesPerThread = 4;
constexpr int64_t kPooledAllocator = 2;

DLDataType dtype_of(const WeightTensor &tensor) {
  const uint32_t bits = dtype_bits(tensor.dtype);
  const DLDataTypeCode code = tensor.dtype == "BF16"        ? kDLBfloat
                              : tensor.dtype.front() == 'F' ? kDLFloat
                              : tensor.dtype.front() == 'U' ? kDLUInt
                                                            : kDLInt;
  return {static_cast<uint8_t>(code), static_cast<uint8_t>(bits), 1};
}

// What the parallel loops of this thread's running call need; the library's hook has no argument for it.
struct Running {
  ThreadPool *pool;
  const Interrupt *interrupt;
};

thread_local const Running *running = nullptr;

class RunningScope {
 public:
  RunningScope(ThreadPool &pool, const Interrupt &interrupt) : current_{&pool, &interrupt}, outer_(running) {
    running = &current_;
  }
  ~RunningScope() { running = outer_; }
  RunningScope(const RunningScope &) = delete;
  RunningScope &operator=(const RunningScope &) = delete;

 private:
  Running current_;
  const Running *outer_;
};

// One parallel loop of the compiled code on its way through the pool.
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

// Takes the place of TVM's own launcher, which deals equal shares to spinning threads.
int launch(FTVMParallelLambda body, void *data, int task_count) {
  if (running != nullptr && running->interrupt->raised()) {
    TVMFFIErrorSetRaisedFromCStr("RuntimeError", "interrupted");
    return -1;
  }
  Loop loop{body, data, {}};
  const int threads = running == nullptr ? 1 : running->pool->threads();
  const int count = task_count > 0 ? task_count : threads == 1 ? 1 : threads * kPiecesPerThread;
  int status = 0;
  if (running != nullptr) {
    status = running->pool->run(run_piece, count, &loop);
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

// Pieces do not run at the same time for certain, so code that waits for all of them cannot be run.
int refuse_barrier(int, TVMParallelGroupEnv *) {
  TVMFFIErrorSetRaisedFromCStr("RuntimeError", "the compiled model uses barriers, which this runtime does not offer");
  return -1;
}

#if !defined(SE_TVM_FROM_SOURCE)

// A module without the slot calls no such function: LLVM drops the slots that nothing uses.
void replace_symbol(void *library, const char *name, void *function) {
  if (void *slot = ::dlsym(library, name); slot != nullptr) *static_cast<void **>(slot) = function;
}

// Compiled modules name no library for the few TVM functions they call, so those must be visible to all, also when an
// application loaded us privately (as Java and Python do).
void show_tvm_to_modules() {
#if defined(__APPLE__)
  ::dlopen("@rpath/libtvm_ffi.dylib", RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
#else
  ::dlopen("libtvm_ffi.so", RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
#endif
}

// TVM's runtime let the library's hooks point to itself.
void take_over_loops(const std::filesystem::path &path) {
  void *library = ::dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error(SE_LOAD_FAILED, "cannot load " + ticked(path.string()) + ": " + ::dlerror(), "package the model again");
  }
  replace_symbol(library, "__TVMBackendParallelLaunch", reinterpret_cast<void *>(&launch));
  replace_symbol(library, "__TVMBackendParallelBarrier", reinterpret_cast<void *>(&refuse_barrier));
}

#endif

// The library of each bundle is loaded once, however often the bundle is open: its context is a global of it.
TvmValue load_library(const std::filesystem::path &path) {
  static std::mutex mutex;
  static std::map<std::string, TvmValue> loaded;
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) throw Error(SE_MODEL_CORRUPT, "no library " + ticked(path.string()));
  const std::string key = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) + ":" +
                          std::to_string(status.st_mtime) + ":" + std::to_string(status.st_size);
  const std::lock_guard lock(mutex);
  if (const auto found = loaded.find(key); found != loaded.end()) return found->second;
#if !defined(SE_TVM_FROM_SOURCE)
  show_tvm_to_modules();
#endif
  TvmValue module = tvm_global("ffi.ModuleLoadFromFile").call({TvmValue(path.string())}, SE_LOAD_FAILED);
#if !defined(SE_TVM_FROM_SOURCE)
  take_over_loops(path);
#endif
  return loaded.emplace(key, std::move(module)).first->second;
}

TvmValue tuple_of(const std::vector<TvmValue> &values) {
  return tvm_global("ffi.Array").call(std::span<const TvmValue>(values), SE_INTERNAL);
}

class TvmEngine : public Engine {
 public:
  TvmEngine(const Bundle &bundle, uint32_t context_tokens, int threads);

  const EngineFacts &facts() const override { return facts_; }
  std::span<const float> advance(std::span<const int32_t> tokens, uint32_t position,
                                 const Interrupt &interrupt) override;
  std::span<const float> score(std::span<const int32_t> tokens, uint32_t position, const Interrupt &interrupt) override;
  uint32_t score_tokens() const override { return score_tokens_; }
  // Rows after `position` are overwritten before they are read.
  uint32_t rewind(uint32_t position) override { return position; }
  void watch(KernelReceiver receiver) override;

 private:
  void map_weights(const Bundle &bundle);
  void allocate_cache(const Bundle &bundle);
  void load_functions(const Bundle &bundle);
  std::span<const float> call(const TvmValue &function, std::span<const int32_t> tokens, uint32_t position, size_t rows,
                              const Interrupt &interrupt);

  EngineFacts facts_;
  KernelReceiver watcher_;
  bool is_watched_ = false;
  ThreadPool pool_;
  uint32_t prefill_tokens_;
  uint32_t score_tokens_;
  std::shared_ptr<WeightFiles> weights_;
  TvmValue machine_;
  TvmValue prefill_;
  TvmValue decode_;
  TvmValue score_;
  TvmValue parameters_;
  TvmValue cache_;
  TvmValue logits_;
};

TvmEngine::TvmEngine(const Bundle &bundle, uint32_t context_tokens, int threads)
    : pool_(threads), prefill_tokens_(bundle.compiled->prefill_tokens), score_tokens_(bundle.compiled->score_tokens) {
  if (bundle.backend != "cpu") {
    throw Error(SE_UNSUPPORTED, "this build of the runtime has no backend " + ticked(bundle.backend));
  }
  facts_ = {"tvm", bundle.backend, bundle.family, bundle.quantization, bundle.vocab_size, context_tokens, threads, 0,
            0};
  map_weights(bundle);
  allocate_cache(bundle);
  load_functions(bundle);
}

void TvmEngine::map_weights(const Bundle &bundle) {
  std::vector<std::filesystem::path> paths;
  for (const BundleFile &file : bundle.files) {
    if (file.role == "weights") paths.push_back(file.path);
  }
  weights_ = std::make_shared<WeightFiles>(paths);
  std::vector<TvmValue> parameters;
  for (const std::string &name : bundle.compiled->parameters) {
    const WeightTensor &tensor = weights_->tensor(name);
    facts_.weights_bytes += tensor.bytes.size();
    void *data = const_cast<std::byte *>(tensor.bytes.data());
    std::shared_ptr<void> owner = weights_;
    if (reinterpret_cast<uintptr_t>(data) % kTensorAlignment != 0) {
      owner = aligned_memory(tensor.bytes.size());
      std::memcpy(owner.get(), data, tensor.bytes.size());
      data = owner.get();
    }
    parameters.push_back(tvm_tensor(data, dtype_of(tensor), tensor.shape, owner));
  }
  parameters_ = tuple_of(parameters);
}

void TvmEngine::allocate_cache(const Bundle &bundle) {
  const uint8_t bits = bundle.kv_dtype == "float16" ? 16 : 32;
  const auto context = static_cast<uint64_t>(facts_.context_tokens);
  const auto bytes_of = [&](const CacheLayer &layer, int64_t width) {
    return static_cast<uint64_t>(layer.kv_heads) * static_cast<uint64_t>(width) * context * bits / 8;
  };
  for (const CacheLayer &layer : bundle.compiled->cache) {
    facts_.kv_cache_bytes += bytes_of(layer, layer.key_dim) + bytes_of(layer, layer.value_dim);
  }
  const uint64_t available = memory_available_bytes();
  if (available != 0 && facts_.kv_cache_bytes > available) {
    throw Error(SE_OOM_RAM,
                "the KV cache for " + ticked(context) + " tokens needs " + ticked(facts_.kv_cache_bytes) +
                    " bytes and " + ticked(available) + " are free",
                "open with a shorter context or close other programs");
  }
  std::vector<TvmValue> tensors;
  for (const CacheLayer &layer : bundle.compiled->cache) {
    for (const int64_t width : {layer.key_dim, layer.value_dim}) {
      const auto memory = aligned_memory(bytes_of(layer, width));
      tensors.push_back(tvm_tensor(memory.get(), {kDLFloat, bits, 1},
                                   {layer.kv_heads, static_cast<int64_t>(context), width}, memory));
    }
  }
  cache_ = tuple_of(tensors);
}

void TvmEngine::load_functions(const Bundle &bundle) {
  const TvmValue library = load_library(bundle.file("library").path);
  machine_ = tvm_function(library, "vm_load_executable").call({}, SE_LOAD_FAILED);
  tvm_function(machine_, "vm_initialization")
      .call({TvmValue(int64_t{kDLCPU}), TvmValue(int64_t{0}), TvmValue(kPooledAllocator)}, SE_LOAD_FAILED);
  prefill_ = tvm_function(machine_, "prefill");
  decode_ = tvm_function(machine_, "decode");
  score_ = tvm_function(machine_, "score");
}

void TvmEngine::watch(KernelReceiver receiver) {
  watcher_ = std::move(receiver);
  // An instrument slows every call down and cannot be taken out again, so it comes with the first watcher.
  if (is_watched_ || !watcher_) return;
  tvm_function(machine_, "set_instrument").call({kernel_instrument(&watcher_)}, SE_INTERNAL);
  is_watched_ = true;
}

std::span<const float> TvmEngine::call(const TvmValue &function, std::span<const int32_t> tokens, uint32_t position,
                                       size_t rows, const Interrupt &interrupt) {
  interrupt.check();
  const auto count = static_cast<int64_t>(tokens.size());
  const auto ids = aligned_memory(tokens.size_bytes() + sizeof(int32_t) + kTensorAlignment);
  std::memcpy(ids.get(), tokens.data(), tokens.size_bytes());
  const size_t offset = (tokens.size_bytes() + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
  auto *where = reinterpret_cast<int32_t *>(static_cast<std::byte *>(ids.get()) + offset);
  *where = static_cast<int32_t>(position);
  const DLDataType int32 = {kDLInt, 32, 1};
  {
    const RunningScope scope(pool_, interrupt);
    try {
      logits_ = function.call(
          {tvm_tensor(ids.get(), int32, {count}, ids), tvm_tensor(where, int32, {1}, ids), cache_, parameters_},
          SE_INTERNAL);
    } catch (const Error &) {
      // An interrupt ends the call as a failed loop; its own status is the one to tell.
      interrupt.check();
      throw;
    }
  }
  const bool is_tensor = logits_.is(kTVMFFITensor);
  const DLTensor *tensor = is_tensor ? &logits_.tensor() : nullptr;
  const bool as_agreed = is_tensor && tensor->ndim == 2 && tensor->shape[0] == static_cast<int64_t>(rows) &&
                         tensor->shape[1] == static_cast<int64_t>(facts_.vocab_size) &&
                         tensor->dtype.code == kDLFloat && tensor->dtype.bits == 32;
  if (!as_agreed) throw Error(SE_MODEL_CORRUPT, "the compiled model returned something else than logits");
  return {static_cast<const float *>(tensor->data), rows * facts_.vocab_size};
}

std::span<const float> TvmEngine::advance(std::span<const int32_t> tokens, uint32_t position,
                                          const Interrupt &interrupt) {
  if (tokens.size() == 1) return call(decode_, tokens, position, 1, interrupt);
  std::span<const float> logits;
  while (!tokens.empty()) {
    const auto part = tokens.first(std::min<size_t>(tokens.size(), prefill_tokens_));
    logits = call(prefill_, part, position, 1, interrupt);
    position += static_cast<uint32_t>(part.size());
    tokens = tokens.subspan(part.size());
  }
  return logits;
}

std::span<const float> TvmEngine::score(std::span<const int32_t> tokens, uint32_t position,
                                        const Interrupt &interrupt) {
  return call(score_, tokens, position, tokens.size(), interrupt);
}

}  // namespace

std::unique_ptr<Engine> make_tvm_engine(const Bundle &bundle, uint32_t context_tokens, int threads) {
  return std::make_unique<TvmEngine>(bundle, context_tokens, threads);
}

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
