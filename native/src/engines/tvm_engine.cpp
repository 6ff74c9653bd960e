// Runs a compiled module: loads it and its weights, holds its KV cache, gives its loops our threads.
#include "tvm_engine.h"

#if !defined(SE_TVM_FROM_SOURCE)
#include <dlfcn.h>
#endif
#include <sys/stat.h>
#include <tvm/runtime/c_backend_api.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "../safetensors.h"
#include "../status.h"
#include "../thread_pool.h"
#include "../tvm/gpu_cache.h"
#include "backend_order.h"
#include "tvm_objects.h"
#include "tvm_place.h"
#include "tvm_watch.h"

namespace se {
namespace {

// How finely a loop is cut: small enough that a slow thread does not hold up the others, large enough to be cheap.
constexpr int kPiecesPerThread = 4;

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

// Object files are linked into the app and have told TVM's runtime of themselves under a prefix when it started.
TvmValue linked_in(const Bundle &bundle, const std::string &backend) {
  std::string prefix = "sphere_edge_" + bundle.name + "_" + (backend == "cpu" ? "" : backend + "_");
  for (char &letter : prefix) {
    if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '_';
  }
  std::string reason;
  try {
    TvmValue module = tvm_global("ffi.SystemLib").call({TvmValue(prefix)}, SE_LOAD_FAILED);
    // TVM knows a module under every prefix: what was never linked in has no functions.
    tvm_function(module, "vm_load_executable");
    return module;
  } catch (const Error &error) {
    reason = error.message;
  }
  throw Error(SE_LOAD_FAILED, "no model with the prefix " + ticked(prefix) + " is linked into this program: " + reason,
              "link the object files of the bundle's lib/ into the app");
}

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

size_t kv_bytes(const Bundle &bundle) { return bundle.kv_dtype == "float16" ? 2 : 4; }

TvmValue tuple_of(const std::vector<TvmValue> &values) {
  return tvm_global("ffi.Array").call(std::span<const TvmValue>(values), SE_INTERNAL);
}

class TvmEngine : public Engine {
 public:
  TvmEngine(const Bundle &bundle, uint32_t context_tokens, int threads, const std::string &backend,
            bool measure_kernels);

  const EngineFacts &facts() const override { return facts_; }
  void explain(const std::string &reason) override { facts_.backend_reason = reason; }
  std::span<const float> advance(std::span<const int32_t> tokens, uint32_t position,
                                 const Interrupt &interrupt) override;
  std::span<const float> score(std::span<const int32_t> tokens, uint32_t position, const Interrupt &interrupt) override;
  // One call has one rotation, so a text that is scored is cut where the other one begins.
  uint32_t score_tokens(uint32_t position) const override {
    if (!switch_tokens_ || position >= *switch_tokens_) return score_tokens_;
    return std::min(score_tokens_, *switch_tokens_ - position);
  }
  // Rows after `position` are overwritten before they are read.
  uint32_t rewind(uint32_t position) override { return position; }
  void watch(KernelReceiver receiver) override;
  std::vector<KernelSeconds> kernel_seconds() override { return place_->kernel_seconds(); }

 private:
  void load_weights(const Bundle &bundle);
  void load_rope_switch(const RopeSwitch &rope, const std::vector<std::string> &names, std::vector<TvmValue> parameters,
                        const std::shared_ptr<WeightFiles> &weights);
  void choose_rope(std::span<const int32_t> tokens, uint32_t position, const Interrupt &interrupt);
  void allocate_cache(const Bundle &bundle);
  void load_functions(const Bundle &bundle);
  std::span<const float> call(const TvmValue &function, std::span<const int32_t> tokens, uint32_t position, size_t rows,
                              const Interrupt &interrupt);

  TvmValue run(const TvmValue &function, std::span<const int32_t> tokens, uint32_t position);

  EngineFacts facts_;
  // Outlives all tensors that lie there.
  std::unique_ptr<TvmPlace> place_;
  KernelReceiver watcher_;
  bool is_watched_ = false;
  ThreadPool pool_;
  uint32_t prefill_tokens_;
  uint32_t score_tokens_;
  TvmValue machine_;
  TvmValue prefill_;
  TvmValue decode_;
  TvmValue score_;
  TvmValue parameters_;
  TvmValue cache_;
  TvmValue logits_;

  // Of models whose rotation depends on the length of the text: from how many tokens on it is the other one, whether
  // that is in use, which tokens there are, and how many of them were computed with it.
  std::optional<uint32_t> switch_tokens_;
  TvmValue parameters_beyond_;
  bool is_beyond_ = false;
  std::vector<int32_t> history_;
  uint32_t computed_ = 0;
};

std::unique_ptr<TvmPlace> place_for(const Bundle &bundle, const std::string &backend) {
  if (backend == "cpu") return cpu_place();
  if (backend == "opencl") return opencl_place(bundle.compiled->gpu->half);
  if (backend == "cuda") return cuda_place();
#if defined(__APPLE__)
  if (backend == "metal") return metal_place();
#endif
  throw Error(SE_UNSUPPORTED, "this build of the runtime has no backend " + ticked(backend));
}

TvmEngine::TvmEngine(const Bundle &bundle, uint32_t context_tokens, int threads, const std::string &backend,
                     bool measure_kernels)
    : pool_(threads), prefill_tokens_(bundle.compiled->prefill_tokens), score_tokens_(bundle.compiled->score_tokens) {
  bundle.require_code(backend);
  place_ = place_for(bundle, backend);
  facts_ = {"tvm", backend, bundle.family, bundle.quantization, bundle.vocab_size, context_tokens, threads, 0, 0};
  facts_.device = place_->device_name();
  load_weights(bundle);
  allocate_cache(bundle);
  load_functions(bundle);
  if (backend == "cpu") return;
  // Drivers compile kernels when they are first used, and only then say that they cannot.
  const int32_t tokens[] = {0, 0};
  call(decode_, std::span(tokens).first(1), 0, 1, Interrupt());
  call(prefill_, std::span(tokens).first(std::min(2U, prefill_tokens_)), 0, 1, Interrupt());
  if (measure_kernels) place_->measure_kernels(true);
}

void TvmEngine::load_weights(const Bundle &bundle) {
  std::vector<std::filesystem::path> paths;
  for (const BundleFile &file : bundle.files) {
    if (file.role == "weights") paths.push_back(file.path);
  }
  const auto weights = std::make_shared<WeightFiles>(paths);
  for (const std::string &name : bundle.compiled->parameters)
    facts_.weights_bytes += weights->tensor(name).bytes.size();
  for (const CacheLayer &layer : bundle.compiled->cache) {
    const int64_t numbers = layer.kv_heads * (layer.key_dim + layer.value_dim);
    facts_.kv_cache_bytes += static_cast<uint64_t>(numbers) * facts_.context_tokens * kv_bytes(bundle);
  }
  place_->require(facts_.weights_bytes, facts_.kv_cache_bytes, facts_.context_tokens);
  std::vector<TvmValue> parameters;
  for (const std::string &name : bundle.compiled->parameters) {
    const WeightTensor &tensor = weights->tensor(name);
    const auto bytes = tensor.bytes;
    parameters.push_back(place_->tensor(bytes.data(), bytes.size(), dtype_of(tensor), tensor.shape, weights));
  }
  parameters_ = tuple_of(parameters);
  const CompiledText &compiled = *bundle.compiled;
  if (compiled.rope_switch) load_rope_switch(*compiled.rope_switch, compiled.parameters, parameters, weights);
}

void TvmEngine::load_rope_switch(const RopeSwitch &rope, const std::vector<std::string> &names,
                                 std::vector<TvmValue> parameters, const std::shared_ptr<WeightFiles> &weights) {
  const auto found = std::find(names.begin(), names.end(), rope.parameter);
  if (found == names.end()) throw Error(SE_MODEL_CORRUPT, "no parameter " + ticked(rope.parameter));
  const WeightTensor &beyond = weights->tensor(rope.beyond);
  const WeightTensor &usual = weights->tensor(rope.parameter);
  if (beyond.shape != usual.shape || beyond.dtype != usual.dtype) {
    throw Error(SE_MODEL_CORRUPT, ticked(rope.beyond) + " is not like " + ticked(rope.parameter));
  }
  parameters[static_cast<size_t>(found - names.begin())] =
      place_->tensor(beyond.bytes.data(), beyond.bytes.size(), dtype_of(beyond), beyond.shape, weights);
  parameters_beyond_ = tuple_of(parameters);
  switch_tokens_ = rope.tokens;
}

void TvmEngine::allocate_cache(const Bundle &bundle) {
  const auto context = static_cast<int64_t>(facts_.context_tokens);
  const size_t each = kv_bytes(bundle);
  std::vector<TvmValue> tensors;
  for (const CacheLayer &layer : bundle.compiled->cache) {
    for (const int64_t width : {layer.key_dim, layer.value_dim}) {
      const size_t bytes = static_cast<size_t>(layer.kv_heads * context * width) * each;
      const DLDataType dtype = {kDLFloat, static_cast<uint8_t>(8 * each), 1};
      tensors.push_back(place_->zeros(bytes, dtype, {layer.kv_heads, context, width}));
    }
  }
  cache_ = tuple_of(tensors);
}

void TvmEngine::load_functions(const Bundle &bundle) {
  const TvmValue loaded =
      bundle.is_linked_in() ? linked_in(bundle, facts_.backend) : load_library(bundle.library(facts_.backend).path);
  machine_ = tvm_function(loaded, "vm_load_executable").call({}, SE_LOAD_FAILED);
  const DLDevice device = place_->device();
  std::vector<TvmValue> places;
  const auto add = [&](DLDevice where, int64_t allocator) {
    for (const int64_t number : {static_cast<int64_t>(where.device_type), int64_t{where.device_id}, allocator}) {
      places.emplace_back(number);
    }
  };
  add(device, place_->allocator());
  // Shapes are worked out on the CPU.
  if (device.device_type != kDLCPU) add({kDLCPU, 0}, cpu_place()->allocator());
  tvm_function(machine_, "vm_initialization").call(std::span<const TvmValue>(places), SE_LOAD_FAILED);
  prefill_ = tvm_function(machine_, "prefill");
  decode_ = tvm_function(machine_, "decode");
  score_ = tvm_function(machine_, "score");
}

void TvmEngine::watch(KernelReceiver receiver) {
  watcher_ = std::move(receiver);
  // An instrument slows every call down and cannot be taken out again, so it comes with the first watcher.
  if (is_watched_ || !watcher_) return;
  tvm_function(machine_, "set_instrument").call({kernel_instrument(&watcher_, place_.get())}, SE_INTERNAL);
  is_watched_ = true;
}

TvmValue TvmEngine::run(const TvmValue &function, std::span<const int32_t> tokens, uint32_t position) {
  const auto ids = aligned_memory(tokens.size_bytes());
  std::memcpy(ids.get(), tokens.data(), tokens.size_bytes());
  const auto where = aligned_memory(sizeof(int32_t));
  *static_cast<int32_t *>(where.get()) = static_cast<int32_t>(position);
  const DLDataType int32 = {kDLInt, 32, 1};
  const auto count = static_cast<int64_t>(tokens.size());
  const TvmValue token_ids = place_->tensor(ids.get(), tokens.size_bytes(), int32, {count}, ids);
  const TvmValue first = place_->tensor(where.get(), sizeof(int32_t), int32, {1}, where);
  return function.call({token_ids, first, cache_, is_beyond_ ? parameters_beyond_ : parameters_}, SE_INTERNAL);
}

// What was computed with the rotation for short texts is of no use to a long one, nor the other way round: everything
// before `position` is then computed again, as transformers does it.
void TvmEngine::choose_rope(std::span<const int32_t> tokens, uint32_t position, const Interrupt &interrupt) {
  if (!switch_tokens_) return;
  if (position > history_.size()) throw Error(SE_INTERNAL, "tokens before position " + std::to_string(position));
  history_.resize(position);
  const bool beyond = position + tokens.size() > *switch_tokens_;
  computed_ = beyond == is_beyond_ ? std::min(computed_, position) : 0;
  is_beyond_ = beyond;
  while (computed_ < position) {
    const uint32_t count = std::min(prefill_tokens_, position - computed_);
    call(prefill_, std::span(history_).subspan(computed_, count), computed_, 1, interrupt);
    computed_ += count;
  }
  history_.insert(history_.end(), tokens.begin(), tokens.end());
}

std::span<const float> TvmEngine::call(const TvmValue &function, std::span<const int32_t> tokens, uint32_t position,
                                       size_t rows, const Interrupt &interrupt) {
  interrupt.check();
  place_->take_failure();
  {
    const RunningScope scope(pool_, interrupt);
    try {
      logits_ = run(function, tokens, position);
    } catch (const Error &) {
      // An interrupt ends the call as a failed loop; its own status is the one to tell.
      interrupt.check();
      if (const auto failure = place_->take_failure()) throw Error(*failure);
      throw;
    }
  }
  const bool is_tensor = logits_.is(kTVMFFITensor);
  const DLTensor *tensor = is_tensor ? &logits_.tensor() : nullptr;
  const bool as_agreed = is_tensor && tensor->ndim == 2 && tensor->shape[0] == static_cast<int64_t>(rows) &&
                         tensor->shape[1] == static_cast<int64_t>(facts_.vocab_size) &&
                         tensor->dtype.code == kDLFloat && tensor->dtype.bits == 32;
  if (!as_agreed) throw Error(SE_MODEL_CORRUPT, "the compiled model returned something else than logits");
  const size_t numbers = rows * facts_.vocab_size;
  const void *content = place_->content(*tensor, numbers * sizeof(float));
  if (const auto failure = place_->take_failure()) throw Error(*failure);
  return {static_cast<const float *>(content), numbers};
}

std::span<const float> TvmEngine::advance(std::span<const int32_t> tokens, uint32_t position,
                                          const Interrupt &interrupt) {
  choose_rope(tokens, position, interrupt);
  std::span<const float> logits;
  while (!tokens.empty()) {
    const auto part = tokens.first(std::min<size_t>(tokens.size(), prefill_tokens_));
    logits = call(part.size() == 1 ? decode_ : prefill_, part, position, 1, interrupt);
    position += static_cast<uint32_t>(part.size());
    tokens = tokens.subspan(part.size());
    computed_ = position;
  }
  return logits;
}

std::span<const float> TvmEngine::score(std::span<const int32_t> tokens, uint32_t position,
                                        const Interrupt &interrupt) {
  choose_rope(tokens, position, interrupt);
  const auto logits = call(score_, tokens, position, tokens.size(), interrupt);
  computed_ = position + static_cast<uint32_t>(tokens.size());
  return logits;
}

}  // namespace

void use_cache_folder(const std::string &folder) { set_gpu_cache_folder(folder); }

std::unique_ptr<Engine> make_tvm_engine(const Bundle &bundle, uint32_t context_tokens, int threads,
                                        const TvmChoice &choice) {
  return open_on_first_backend(&bundle, choice.backend, [&](const std::string &backend) {
    return std::make_unique<TvmEngine>(bundle, context_tokens, threads, backend, choice.measure_kernels);
  });
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
