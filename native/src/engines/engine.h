// The interface of an engine: tokens in, logits out, and back to an earlier position; for several sequences at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/interrupt.h"
#include "base/status.h"
#include "engines/image_encoder.h"

namespace se {

struct EngineOptions {
  uint32_t context_tokens = 0;  // 0: the model's default
  int threads = 0;
  bool adapts_threads = false;  // fewer while other programs use the cores
  std::string backend;          // empty: the bundle's first choice, or the next one if that fails
  std::string cache_folder;     // for compiled GPU kernels; empty: the user's cache folder
  std::string code_folder;      // where compiled code lies; empty: in the bundle
  std::string mmproj;           // the file of the model's image encoder; empty: it sees no images
  bool measure_kernels = false;
  uint32_t sequences = 1;  // texts whose keys and values are kept side by side, each with the whole context
};

struct EngineFacts {
  std::string engine;   // "llama" or "tvm"
  std::string backend;  // "cpu", "opencl", "cuda", or for GGUF models "vulkan", "metal"
  std::string family;
  std::string quantization;
  uint32_t vocab_size;
  uint32_t context_tokens;
  int threads;
  uint64_t weights_bytes;
  uint64_t kv_cache_bytes;          // of all sequences
  std::string device = "";          // the GPU's name
  std::string backend_reason = "";  // why it is not the bundle's first choice, if it is not
  uint32_t sequences = 1;
  bool generates = true;        // false: an encoder, which only embeds
  bool goes_back = true;        // a rewind drops the last tokens only; false: all that was computed
  uint32_t embedding_size = 0;  // numbers of an embedding; 0: embeds nothing
  uint32_t embed_tokens = 0;    // the longest text that it embeds
  std::string pooling = "";  // how the model wants the vectors of a text's tokens put together; empty: it says nothing
};

// The most that an engine keeps: more would only wait for one another.
constexpr uint32_t kMostSequences = 64;

// One more token of one sequence.
struct Step {
  uint32_t sequence;
  int32_t token;
  uint32_t position;
};

// GPU time of all calls of one kernel.
struct KernelSeconds {
  std::string name;
  uint64_t calls;
  double seconds;
};

// A float tensor argument of a kernel, as rows of `columns` numbers.
struct KernelTensor {
  const float *values;
  size_t rows;
  size_t columns;
};

// Called after each kernel with its arguments, the results last.
using TraceCallback = std::function<void(const char *kernel, std::span<const KernelTensor> tensors)>;

// Used by one thread at a time. Callers keep tokens within the vocabulary, positions within the context and sequences
// below facts().sequences. What is computed for one sequence never depends on another.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const EngineFacts &facts() const = 0;
  // Sets `backend_reason` of the facts.
  virtual void explain(const std::string &reason) = 0;

  // Computes `tokens` of a sequence from `position` on, which is where its rewind or last call ended. Returns the
  // logits after the last token: vocab_size floats, valid until the next call. Throws CANCELLED or TIMEOUT when
  // interrupted; then everything of the sequence from `position` on is lost, and rewind must be called first.
  virtual std::span<const float> advance(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position,
                                         const Interrupt &interrupt) = 0;

  // As advance, with vectors of an image instead of tokens, and without logits: text follows it. A rewind into it goes
  // back to its beginning.
  virtual void advance_image(uint32_t, const ImageEmbeddings &, uint32_t, const Interrupt &) {
    throw Error(SE_UNSUPPORTED, "the engine " + ticked(facts().engine) + " shows no images to its models");
  }

  // Computes one or more tokens of each of some sequences, those of one in a row: the weights are read once for all of
  // them where the engine can. At most score_tokens(position) of a sequence, more than one only if the facts say
  // `goes_back`. Returns the logits after each token row by row; otherwise as advance.
  virtual std::span<const float> decode(std::span<const Step> steps, const Interrupt &interrupt) = 0;

  // As advance, with the logits after every token, row by row; at most score_tokens(position) tokens.
  virtual std::span<const float> score(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position,
                                       const Interrupt &interrupt) = 0;
  virtual uint32_t score_tokens(uint32_t position) const = 0;

  // The final hidden state of every token of a text, row by row of facts().embedding_size numbers, which `receive` gets
  // in pieces. Uses the sequence from position 0 on.
  virtual void embed(uint32_t sequence, std::span<const int32_t> tokens,
                     const std::function<void(std::span<const float>)> &receive, const Interrupt &interrupt) = 0;

  // Drops everything of a sequence from `position` on. Returns the position that it really went back to: some models
  // can only restart at 0.
  virtual uint32_t rewind(uint32_t sequence, uint32_t position) = 0;

  // The keys and values of the first `tokens` tokens of a sequence, all of which it holds, as `restore` of this engine
  // reads them for the same model. UNSUPPORTED where that cannot be.
  virtual std::vector<std::byte> save(uint32_t sequence, uint32_t tokens, const Interrupt &interrupt) = 0;
  // Replaces what the sequence holds; these are the tokens that `state` is of. MODEL_CORRUPT when it cannot be that;
  // then the sequence is empty.
  virtual void restore(uint32_t sequence, std::span<const int32_t> tokens, std::span<const std::byte> state) = 0;

  // Of every kernel since the model was opened with measure_kernels; otherwise empty.
  virtual std::vector<KernelSeconds> kernel_seconds() { return {}; }

  // Sets the trace callback; an empty one removes it.
  virtual void set_trace(TraceCallback callback) {
    if (callback) throw Error(SE_UNSUPPORTED, "the engine " + ticked(facts().engine) + " cannot trace its kernels");
  }
};

}  // namespace se
