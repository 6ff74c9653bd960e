// Runs a compiled module: loads the code and its weights, owns the KV cache, computes tokens.
#include "tvm/tvm_engine.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
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

// More bytes than any machine has memory for.
constexpr uint64_t kMostBytes = uint64_t{1} << 47;

// The product of sizes that a manifest says, each at least 1.
uint64_t size_of_cache(std::initializer_list<uint64_t> factors) {
  uint64_t bytes = 1;
  for (const uint64_t factor : factors) {
    if (factor > kMostBytes / bytes) {
      throw Error(SE_MODEL_CORRUPT, "the manifest says sizes of a KV cache that no memory holds",
                  "package the model again");
    }
    bytes *= factor;
  }
  return bytes;
}

TvmValue tuple_of(const std::vector<TvmValue> &values) {
  return tvm_global("ffi.Array").call(std::span<const TvmValue>(values), SE_INTERNAL);
}

class TvmEngine : public Engine {
 public:
  TvmEngine(const Bundle &bundle, const EngineOptions &options, const std::string &backend);

  const EngineFacts &facts() const override { return facts_; }
  void explain(const std::string &reason) override { facts_.backend_reason = reason; }
  std::span<const float> advance(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position,
                                 const Interrupt &interrupt) override;
  std::span<const float> decode(std::span<const Step> steps, const Interrupt &interrupt) override;
  std::span<const float> score(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position,
                               const Interrupt &interrupt) override;
  void embed(uint32_t sequence, std::span<const int32_t> tokens,
             const std::function<void(std::span<const float>)> &receive, const Interrupt &interrupt) override;
  // A call has one rotation, so the tokens to score are cut where the other one begins.
  uint32_t score_tokens(uint32_t position) const override {
    return ropes_.empty() ? score_tokens_ : std::min(score_tokens_, ropes_.front().tokens_from(position));
  }
  // Rows after `position` are overwritten before they are read.
  uint32_t rewind(uint32_t, uint32_t position) override { return position; }
  std::vector<std::byte> save(uint32_t sequence, uint32_t tokens, const Interrupt &interrupt) override;
  void restore(uint32_t sequence, std::span<const int32_t> tokens, std::span<const std::byte> state) override;
  void set_trace(TraceCallback callback) override;
  std::vector<KernelSeconds> kernel_seconds() override { return device_->kernel_seconds(); }

 private:
  void load_weights(const Bundle &bundle);
  void load_rope_switch(const RopeSwitch &rope, const std::vector<std::string> &names, std::vector<TvmValue> parameters,
                        const std::shared_ptr<WeightFiles> &weights);
  void choose_rope(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position, const Interrupt &interrupt);
  void allocate_cache(const Bundle &bundle);
  // The rows of the first `tokens` tokens in the cache, one head of one layer after the other.
  std::vector<std::span<std::byte>> cache_rows(uint32_t sequence, size_t tokens) const;
  // The first of these steps that one call can compute.
  std::span<const Step> together(std::span<const Step> steps) const;
  std::span<const float> call_together(std::span<const Step> steps, const Interrupt &interrupt);
  // Computes up to batch_sequences_ steps in one call, those of one sequence with one rotation.
  std::span<const float> call_batch(std::span<const Step> steps, const Interrupt &interrupt);
  void load_functions(const Bundle &bundle);
  // A GPU that cannot run a batch keeps all other functions.
  void try_batch();
  // What a function returns: `rows` rows of `columns` numbers, which are logits but for `embed`.
  struct Rows {
    size_t rows;
    size_t columns;
  };
  // Tokens of one sequence for prefill, decode, score or embed.
  struct Part {
    uint32_t sequence;
    std::span<const int32_t> tokens;
    uint32_t position;
    Rows result;
  };
  std::span<const float> call(const TvmValue &function, const Part &part, const Interrupt &interrupt);
  std::span<const float> run(const TvmValue &function, std::span<const TvmValue> arguments, Rows result,
                             const Interrupt &interrupt);
  Rows logits(size_t rows) const { return {rows, facts_.vocab_size}; }
  TvmValue integers(std::span<const int32_t> numbers, const std::vector<int64_t> &shape);

  EngineFacts facts_;
  // Outlives all tensors in its memory.
  std::unique_ptr<DeviceBackend> device_;
  TraceCallback trace_;
  bool has_instrument_ = false;
  ThreadPool pool_;
  uint32_t prefill_tokens_;
  uint32_t score_tokens_;
  TvmValue machine_;
  TvmValue prefill_;
  TvmValue decode_;
  TvmValue score_;
  TvmValue embed_;
  TvmValue parameters_;
  std::vector<TvmValue> caches_;  // of each sequence
  // For decode_batch: the most sequences, and one cache with the heads of all of them, of which caches_ are parts.
  uint32_t batch_sequences_ = 0;
  TvmValue decode_batch_;
  TvmValue whole_cache_;
  TvmValue logits_;
  std::vector<float> rows_;  // logits of a decode that took several calls

  // Of each sequence, for models whose rotation depends on the length of the text; with the parameters for longer ones.
  std::vector<RopeHistory> ropes_;
  TvmValue parameters_beyond_;
};

std::unique_ptr<DeviceBackend> backend_for(const Bundle &bundle, const std::string &backend) {
  if (backend == "cpu") return cpu_backend();
  if (backend == "opencl") return opencl_backend(bundle.compiled->gpu->half);
  if (backend == "cuda") return cuda_backend();
#if defined(__APPLE__)
  if (backend == "metal") return metal_backend();
#endif
  throw Error(SE_UNSUPPORTED, "this build of the runtime has no backend " + ticked(backend));
}

TvmEngine::TvmEngine(const Bundle &bundle, const EngineOptions &options, const std::string &backend)
    : pool_(options.threads),
      prefill_tokens_(bundle.compiled->prefill_tokens),
      score_tokens_(bundle.compiled->score_tokens) {
  bundle.require_code(backend);
  device_ = backend_for(bundle, backend);
  facts_ = {
      "tvm", backend, bundle.family, bundle.quantization, bundle.vocab_size, options.context_tokens, options.threads,
      0,     0};
  facts_.sequences = options.sequences;
  facts_.device = device_->device_name();
  facts_.embedding_size = bundle.compiled->embedding_size;
  if (facts_.embedding_size > 0) facts_.embed_tokens = options.context_tokens;
  load_weights(bundle);
  load_functions(bundle);
  allocate_cache(bundle);
  if (backend == "cpu") return;
  // Drivers compile kernels at their first use, and only then report that they cannot.
  const int32_t tokens[] = {0, 0};
  call(decode_, {0, std::span(tokens).first(1), 0, logits(1)}, Interrupt());
  call(prefill_, {0, std::span(tokens).first(std::min(2U, prefill_tokens_)), 0, logits(1)}, Interrupt());
  try_batch();
  if (options.measure_kernels) device_->measure_kernels(true);
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
    const auto numbers = static_cast<uint64_t>(layer.kv_heads * (layer.key_dim + layer.value_dim));
    facts_.kv_cache_bytes += size_of_cache({numbers, facts_.context_tokens, kv_bytes(bundle), facts_.sequences});
    // Of all layers, too: what the sum of some may be, the next one cannot overflow.
    size_of_cache({facts_.kv_cache_bytes});
  }
  device_->require(facts_.weights_bytes, facts_.kv_cache_bytes, facts_.context_tokens);
  std::vector<TvmValue> parameters;
  for (const std::string &name : bundle.compiled->parameters) {
    const WeightTensor &tensor = weights->tensor(name);
    const auto bytes = tensor.bytes;
    parameters.push_back(device_->tensor(bytes.data(), bytes.size(), dtype_of(tensor), tensor.shape, weights));
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
    throw Error(SE_MODEL_CORRUPT, ticked(rope.beyond) + " has another shape or type than " + ticked(rope.parameter));
  }
  parameters[static_cast<size_t>(found - names.begin())] =
      device_->tensor(beyond.bytes.data(), beyond.bytes.size(), dtype_of(beyond), beyond.shape, weights);
  parameters_beyond_ = tuple_of(parameters);
  ropes_.assign(facts_.sequences, RopeHistory(rope.tokens));
}

void TvmEngine::allocate_cache(const Bundle &bundle) {
  const size_t each = kv_bytes(bundle);
  const auto rounded = [](int64_t number, int64_t to) { return (number + to - 1) / to * to; };
  auto context = static_cast<int64_t>(facts_.context_tokens);
  // Every part of a larger tensor begins where tensors must. What GPUs compute in is planned for the context as it is.
  const bool is_cpu = device_->device().device_type == kDLCPU;
  if (batch_sequences_ > 0 && is_cpu) context = rounded(context, kTensorAlignment / static_cast<int64_t>(each));
  const DLDataType dtype = {kDLFloat, static_cast<uint8_t>(8 * each), 1};
  std::vector<std::vector<TvmValue>> parts(facts_.sequences);
  std::vector<TvmValue> whole;
  for (const CacheLayer &layer : bundle.compiled->cache) {
    for (const int64_t width : {layer.key_dim, layer.value_dim}) {
      const std::vector<int64_t> shape = {layer.kv_heads, context, width};
      const size_t bytes = static_cast<size_t>(layer.kv_heads * context * width) * each;
      std::optional<DividedTensor> divided;
      if (batch_sequences_ > 0) divided = device_->divided_zeros(bytes, dtype, shape, facts_.sequences);
      if (!divided) batch_sequences_ = 0;
      for (uint32_t i = 0; i < facts_.sequences; ++i) {
        parts[i].push_back(divided ? divided->parts[i] : device_->zeros(bytes, dtype, shape));
      }
      if (divided) whole.push_back(divided->whole);
    }
  }
  for (const auto &tensors : parts) caches_.push_back(tuple_of(tensors));
  if (batch_sequences_ > 0) whole_cache_ = tuple_of(whole);
}

void TvmEngine::load_functions(const Bundle &bundle) {
  const TvmValue loaded = compiled_code(bundle, facts_.backend);
  machine_ = tvm_function(loaded, "vm_load_executable").call({}, SE_LOAD_FAILED);
  const DLDevice device = device_->device();
  std::vector<TvmValue> devices;
  const auto add = [&](DLDevice one, int64_t allocator) {
    for (const int64_t number : {static_cast<int64_t>(one.device_type), int64_t{one.device_id}, allocator}) {
      devices.emplace_back(number);
    }
  };
  add(device, device_->allocator());
  // Shapes are computed on the CPU.
  if (device.device_type != kDLCPU) add({kDLCPU, 0}, cpu_backend()->allocator());
  tvm_function(machine_, "vm_initialization").call(std::span<const TvmValue>(devices), SE_LOAD_FAILED);
  prefill_ = tvm_function(machine_, "prefill");
  decode_ = tvm_function(machine_, "decode");
  score_ = tvm_function(machine_, "score");
  if (facts_.embedding_size > 0) embed_ = tvm_function(machine_, "embed");
  // The code for a GPU in older bundles lacks it. There, one sequence alone takes no memory for it.
  const auto batch = tvm_function_if_any(machine_, "decode_batch");
  if (!batch || bundle.compiled->decode_sequences == 0) return;
  if (facts_.backend != "cpu" && facts_.sequences == 1) return;
  decode_batch_ = *batch;
  batch_sequences_ = bundle.compiled->decode_sequences;
}

void TvmEngine::try_batch() {
  if (batch_sequences_ == 0) return;
  const Step steps[] = {{0, 0, 0}, {1, 0, 0}};
  try {
    call_batch(steps, Interrupt());
  } catch (const Error &error) {
    log(SE_LOG_WARNING, "the backend " + ticked(facts_.backend) +
                            " decodes one sequence after the other, as it cannot run a batch: " + error.message);
    batch_sequences_ = 0;
    // Fails if the device is lost.
    call(decode_, {0, std::span(&steps[0].token, 1), 0, logits(1)}, Interrupt());
  }
}

void TvmEngine::set_trace(TraceCallback callback) {
  trace_ = std::move(callback);
  // An instrument slows every call down and cannot be removed, so it is set with the first trace callback.
  if (has_instrument_ || !trace_) return;
  tvm_function(machine_, "set_instrument").call({kernel_instrument(&trace_, device_.get())}, SE_INTERNAL);
  has_instrument_ = true;
}

TvmValue TvmEngine::integers(std::span<const int32_t> numbers, const std::vector<int64_t> &shape) {
  const auto copy = aligned_memory(numbers.size_bytes());
  std::memcpy(copy.get(), numbers.data(), numbers.size_bytes());
  return device_->tensor(copy.get(), numbers.size_bytes(), {kDLInt, 32, 1}, shape, copy);
}

void TvmEngine::choose_rope(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position,
                            const Interrupt &interrupt) {
  if (ropes_.empty()) return;
  RopeHistory &rope = ropes_[sequence];
  rope.choose(tokens, position);
  while (true) {
    const auto missing = rope.missing(prefill_tokens_);
    if (missing.empty()) return;
    const uint32_t first = rope.computed();
    call(prefill_, {sequence, missing, first, logits(1)}, interrupt);
    rope.set_computed(first + static_cast<uint32_t>(missing.size()));
  }
}

std::span<const float> TvmEngine::call(const TvmValue &function, const Part &part, const Interrupt &interrupt) {
  const int32_t position[] = {static_cast<int32_t>(part.position)};
  const bool is_beyond = !ropes_.empty() && ropes_[part.sequence].is_beyond();
  const TvmValue arguments[] = {integers(part.tokens, {static_cast<int64_t>(part.tokens.size())}),
                                integers(position, {1}), caches_[part.sequence],
                                is_beyond ? parameters_beyond_ : parameters_};
  return run(function, arguments, part.result, interrupt);
}

std::span<const float> TvmEngine::run(const TvmValue &function, std::span<const TvmValue> arguments, Rows result,
                                      const Interrupt &interrupt) {
  interrupt.check();
  device_->take_failure();
  {
    const LoopScope scope(pool_, interrupt);
    try {
      logits_ = function.call(arguments, SE_INTERNAL);
    } catch (const Error &) {
      // An interrupt makes a loop fail; the status to report is the interrupt's.
      interrupt.check();
      if (const auto failure = device_->take_failure()) throw Error(*failure);
      throw;
    }
  }
  const bool is_tensor = logits_.is(kTVMFFITensor);
  const DLTensor *tensor = is_tensor ? &logits_.tensor() : nullptr;
  const bool is_expected = is_tensor && tensor->ndim == 2 && tensor->shape[0] == static_cast<int64_t>(result.rows) &&
                           tensor->shape[1] == static_cast<int64_t>(result.columns) && tensor->dtype.code == kDLFloat &&
                           tensor->dtype.bits == 32;
  if (!is_expected) throw Error(SE_MODEL_CORRUPT, "the compiled model did not return the rows that its manifest says");
  const size_t numbers = result.rows * result.columns;
  const void *content = device_->content(*tensor, numbers * sizeof(float));
  if (const auto failure = device_->take_failure()) throw Error(*failure);
  return {static_cast<const float *>(content), numbers};
}

std::span<const float> TvmEngine::advance(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position,
                                          const Interrupt &interrupt) {
  choose_rope(sequence, tokens, position, interrupt);
  std::span<const float> logits;
  while (!tokens.empty()) {
    const auto part = tokens.first(std::min<size_t>(tokens.size(), prefill_tokens_));
    logits = call(part.size() == 1 ? decode_ : prefill_, {sequence, part, position, this->logits(1)}, interrupt);
    position += static_cast<uint32_t>(part.size());
    tokens = tokens.subspan(part.size());
    if (!ropes_.empty()) ropes_[sequence].set_computed(position);
  }
  return logits;
}

std::span<const float> TvmEngine::decode(std::span<const Step> steps, const Interrupt &interrupt) {
  rows_.clear();
  for (auto left = steps; !left.empty();) {
    const auto part = together(left);
    left = left.subspan(part.size());
    const auto logits = call_together(part, interrupt);
    if (part.size() == steps.size()) return logits;
    rows_.insert(rows_.end(), logits.begin(), logits.end());
  }
  return rows_;
}

std::span<const Step> TvmEngine::together(std::span<const Step> steps) const {
  const bool is_batch = batch_sequences_ > 0;
  const size_t most = std::min<size_t>(is_batch ? batch_sequences_ : score_tokens_, steps.size());
  size_t count = 1;
  for (; count < most; ++count) {
    const Step &before = steps[count - 1];
    const bool same = steps[count].sequence == before.sequence;
    if (!same && !is_batch) break;
    if (same && !ropes_.empty() && ropes_.front().tokens_from(before.position) == 1) break;
  }
  return steps.first(count);
}

std::span<const float> TvmEngine::call_together(std::span<const Step> steps, const Interrupt &interrupt) {
  const Step &first = steps.front();
  if (steps.size() == 1) return advance(first.sequence, {&first.token, 1}, first.position, interrupt);
  // Several tokens of one sequence, too: their keys and values are all written before the first of them is attended to.
  if (batch_sequences_ > 0) return call_batch(steps, interrupt);
  std::vector<int32_t> tokens;
  for (const Step &step : steps) tokens.push_back(step.token);
  return score(first.sequence, tokens, first.position, interrupt);
}

std::span<const float> TvmEngine::call_batch(std::span<const Step> steps, const Interrupt &interrupt) {
  std::vector<int32_t> tokens, positions;
  for (const Step &step : steps) {
    tokens.push_back(step.token);
    positions.push_back(static_cast<int32_t>(step.position));
    positions.push_back(static_cast<int32_t>(step.sequence));
  }
  // Each sequence's tokens in a row, while there are rotations to choose: the function takes that of each position.
  const auto each_sequence = [&](auto &&work) {
    for (size_t first = 0; first < steps.size() && !ropes_.empty();) {
      size_t end = first + 1;
      while (end < steps.size() && steps[end].sequence == steps[first].sequence) ++end;
      work(steps[first], std::span(tokens).subspan(first, end - first));
      first = end;
    }
  };
  each_sequence([&](const Step &first, std::span<const int32_t> own) {
    choose_rope(first.sequence, own, first.position, interrupt);
  });
  const auto count = static_cast<int64_t>(steps.size());
  const TvmValue arguments[] = {integers(tokens, {count}), integers(positions, {count, 2}), whole_cache_, parameters_};
  const auto rows = run(decode_batch_, arguments, logits(steps.size()), interrupt);
  each_sequence([&](const Step &first, std::span<const int32_t> own) {
    ropes_[first.sequence].set_computed(first.position + static_cast<uint32_t>(own.size()));
  });
  return rows;
}

std::span<const float> TvmEngine::score(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position,
                                        const Interrupt &interrupt) {
  choose_rope(sequence, tokens, position, interrupt);
  const auto rows = call(score_, {sequence, tokens, position, logits(tokens.size())}, interrupt);
  if (!ropes_.empty()) ropes_[sequence].set_computed(position + static_cast<uint32_t>(tokens.size()));
  return rows;
}

void TvmEngine::embed(uint32_t sequence, std::span<const int32_t> tokens,
                      const std::function<void(std::span<const float>)> &receive, const Interrupt &interrupt) {
  // The whole text is known, so its rotation is, too.
  choose_rope(sequence, tokens, 0, interrupt);
  for (size_t done = 0; done < tokens.size();) {
    const auto part = tokens.subspan(done, std::min<size_t>(tokens.size() - done, prefill_tokens_));
    const auto position = static_cast<uint32_t>(done);
    receive(call(embed_, {sequence, part, position, {part.size(), facts_.embedding_size}}, interrupt));
    done += part.size();
    if (!ropes_.empty()) ropes_[sequence].set_computed(static_cast<uint32_t>(done));
  }
}

std::vector<std::span<std::byte>> TvmEngine::cache_rows(uint32_t sequence, size_t tokens) const {
  if (device_->device().device_type != kDLCPU) {
    throw Error(SE_UNSUPPORTED, "conversations on the backend " + ticked(facts_.backend) + " cannot be saved",
                "open with the backend cpu");
  }
  std::vector<std::span<std::byte>> rows;
  for (int64_t i = 0; i < tvm_global("ffi.ArraySize").call({caches_[sequence]}, SE_INTERNAL).any().v_int64; ++i) {
    const TvmValue item = tvm_global("ffi.ArrayGetItem").call({caches_[sequence], i}, SE_INTERNAL);
    const DLTensor &tensor = item.tensor();
    auto *data = static_cast<std::byte *>(tensor.data) + tensor.byte_offset;
    const auto row_bytes = static_cast<size_t>(tensor.shape[2]) * tensor.dtype.bits / 8;
    const size_t head_bytes = static_cast<size_t>(tensor.shape[1]) * row_bytes;
    for (int64_t head = 0; head < tensor.shape[0]; ++head) {
      rows.emplace_back(data + static_cast<size_t>(head) * head_bytes, tokens * row_bytes);
    }
  }
  return rows;
}

std::vector<std::byte> TvmEngine::save(uint32_t sequence, uint32_t tokens, const Interrupt &interrupt) {
  choose_rope(sequence, {}, tokens, interrupt);
  std::vector<std::byte> state;
  for (const auto rows : cache_rows(sequence, tokens)) state.insert(state.end(), rows.begin(), rows.end());
  return state;
}

void TvmEngine::restore(uint32_t sequence, std::span<const int32_t> tokens, std::span<const std::byte> state) {
  const auto all = cache_rows(sequence, tokens.size());
  size_t bytes = 0;
  for (const auto rows : all) bytes += rows.size();
  if (bytes != state.size()) throw Error(SE_MODEL_CORRUPT, "these are not the keys and values of this model");
  for (const auto rows : all) {
    std::copy_n(state.begin(), rows.size(), rows.begin());
    state = state.subspan(rows.size());
  }
  if (ropes_.empty()) return;
  ropes_[sequence].choose(tokens, 0);
  ropes_[sequence].set_computed(static_cast<uint32_t>(tokens.size()));
}

}  // namespace

std::unique_ptr<Engine> make_tvm_engine(const Bundle &bundle, const EngineOptions &options) {
  const GpuCacheScope scope(options.cache_folder);
  return open_on_first_backend(&bundle, options.backend, [&](const std::string &backend) {
    return std::make_unique<TvmEngine>(bundle, options, backend);
  });
}

}  // namespace se
