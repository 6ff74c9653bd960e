// What an engine is to us: tokens in, logits out, and back to an earlier position. Nothing else differs between them.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/interrupt.h"
#include "base/status.h"
#include "sphere_edge.h"

namespace se {

struct EngineFacts {
  std::string engine;   // "llama" or "tvm"
  std::string backend;  // "cpu", "opencl", "cuda", or for GGUF models "vulkan", "metal"
  std::string family;
  std::string quantization;
  uint32_t vocab_size;
  uint32_t context_tokens;
  int threads;
  uint64_t weights_bytes;
  uint64_t kv_cache_bytes;
  std::string device = "";          // what the GPU calls itself
  std::string backend_reason = "";  // why it is not the bundle's first choice, if it is not
};

// Time that a GPU took for all calls of one kernel.
struct KernelSeconds {
  std::string name;
  uint64_t calls;
  double seconds;
};

// Called after a kernel has run; as se_kernel_fn.
using KernelReceiver = std::function<void(const char *kernel, std::span<const se_kernel_tensor> tensors)>;

// Used by one thread at a time. Callers keep tokens within the vocabulary and positions within the context.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const EngineFacts &facts() const = 0;
  // Why this is not the backend of the first choice; comes to be `backend_reason` of the facts.
  virtual void explain(const std::string &reason) = 0;

  // Computes `tokens` from `position` on, which is where rewind or the last call ended. Returns the logits after the
  // last token: vocab_size floats, valid until the next call. Throws CANCELLED or TIMEOUT when interrupted; then
  // everything from `position` on is lost and rewind comes first.
  virtual std::span<const float> advance(std::span<const int32_t> tokens, uint32_t position,
                                         const Interrupt &interrupt) = 0;

  // The same with the logits after every token, row by row; at most score_tokens(position) tokens.
  virtual std::span<const float> score(std::span<const int32_t> tokens, uint32_t position,
                                       const Interrupt &interrupt) = 0;
  virtual uint32_t score_tokens(uint32_t position) const = 0;

  // Forgets everything from `position` on. Returns where it really is then: some models can only begin again at 0.
  virtual uint32_t rewind(uint32_t position) = 0;

  // Of every kernel since the model was opened for measuring; else nothing.
  virtual std::vector<KernelSeconds> kernel_seconds() { return {}; }

  // Tells `receiver` of every kernel from now on; an empty one: no more.
  virtual void watch(KernelReceiver receiver) {
    if (receiver) throw Error(SE_UNSUPPORTED, "the engine " + ticked(facts().engine) + " does not tell of its kernels");
  }
};

}  // namespace se
