// Runs a compiled module: loads it and its weights, holds its KV cache, computes tokens.
#include "tvm/tvm_engine.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/status.h"
#include "base/thread_pool.h"
#include "engines/backend_order.h"
#include "formats/safetensors.h"
#include "tvm/device_backend.h"
#include "tvm/gpu_cache.h"
#include "tvm/kernel_trace.h"
#include "tvm/library.h"
#include "tvm/loops.h"
#include "tvm/objects.h"
#include "tvm/rope_history.h"

namespace se {
namespace {

DLDataType dtype_of(const WeightTensor &tensor) {
  const uint32_t bits = dtype_bits(tensor.dtype);
  const DLDataTypeCode code = tensor.dtype == "BF16"        ? kDLBfloat
                              : tensor.dtype.front() == 'F' ? kDLFloat
                              : tensor.dtype.front() == 'U' ? kDLUInt
                                                            : kDLInt;
  return {static_cast<uint8_t>(code), static_cast<uint8_t>(bits), 1};
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
    return rope_ ? std::min(score_tokens_, rope_->tokens_from(position)) : score_tokens_;
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

  // Of models whose rotation depends on the length of the text, with the parameters for longer ones.
  std::optional<RopeHistory> rope_;
  TvmValue parameters_beyond_;
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
  rope_.emplace(rope.tokens);
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
  const TvmValue loaded = compiled_code(bundle, facts_.backend);
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
  return function.call({token_ids, first, cache_, rope_ && rope_->is_beyond() ? parameters_beyond_ : parameters_},
                       SE_INTERNAL);
}

void TvmEngine::choose_rope(std::span<const int32_t> tokens, uint32_t position, const Interrupt &interrupt) {
  if (!rope_) return;
  rope_->choose(tokens, position);
  while (true) {
    const auto missing = rope_->missing(prefill_tokens_);
    if (missing.empty()) return;
    const uint32_t first = rope_->computed();
    call(prefill_, missing, first, 1, interrupt);
    rope_->set_computed(first + static_cast<uint32_t>(missing.size()));
  }
}

std::span<const float> TvmEngine::call(const TvmValue &function, std::span<const int32_t> tokens, uint32_t position,
                                       size_t rows, const Interrupt &interrupt) {
  interrupt.check();
  place_->take_failure();
  {
    const LoopScope scope(pool_, interrupt);
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
    if (rope_) rope_->set_computed(position);
  }
  return logits;
}

std::span<const float> TvmEngine::score(std::span<const int32_t> tokens, uint32_t position,
                                        const Interrupt &interrupt) {
  choose_rope(tokens, position, interrupt);
  const auto logits = call(score_, tokens, position, tokens.size(), interrupt);
  if (rope_) rope_->set_computed(position + static_cast<uint32_t>(tokens.size()));
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
