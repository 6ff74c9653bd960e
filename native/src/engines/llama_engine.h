// The engine for GGUF files: llama.cpp computes logits.
#pragma once

#include <llama.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engines/engine.h"
#include "engines/image_encoder.h"
#include "engines/thread_count.h"
#include "formats/gguf.h"

namespace se {

class LlamaEngine : public Engine {
 public:
  // As open_gguf_engine.
  LlamaEngine(const std::filesystem::path &path, const EngineOptions &options);
  ~LlamaEngine() override;

  const EngineFacts &facts() const override { return facts_; }
  void explain(const std::string &reason) override { facts_.backend_reason = reason; }
  std::span<const float> advance(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position,
                                 const Interrupt &interrupt) override;
  std::span<const float> decode(std::span<const Step> steps, const Interrupt &interrupt) override;
  std::span<const float> score(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position,
                               const Interrupt &interrupt) override;
  uint32_t score_tokens(uint32_t position) const override;
  void embed(uint32_t sequence, std::span<const int32_t> tokens,
             const std::function<void(std::span<const float>)> &receive, const Interrupt &interrupt) override;
  uint32_t rewind(uint32_t sequence, uint32_t position) override;
  std::vector<std::byte> save(uint32_t sequence, uint32_t tokens, const Interrupt &interrupt) override;
  void restore(uint32_t sequence, std::span<const int32_t> tokens, std::span<const std::byte> state) override;

  void advance_image(uint32_t sequence, const ImageEmbeddings &image, uint32_t position,
                     const Interrupt &interrupt) override;

  // That of options.mmproj, once.
  std::unique_ptr<ImageEncoder> take_image_encoder() { return std::move(image_encoder_); }
  // Keeps the model alive.
  std::shared_ptr<const llama_vocab> vocabulary() const { return {model_, llama_model_get_vocab(model_.get())}; }

 private:
  void load(const std::filesystem::path &path, const GgufHeader &header);
  void create_context(uint32_t context_tokens, const EngineOptions &options, uint32_t batch_tokens);
  void start_threads(int threads);
  void describe_embeddings(const GgufHeader &header);
  // Where a token of a sequence stands for the model: images may take fewer positions than tokens.
  llama_pos model_position(uint32_t sequence, uint32_t position) const;
  void add(const Step &step, bool with_logits);
  void add(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position, bool all_logits);
  void compute(const Interrupt &interrupt);
  // `run` computes and returns llama.cpp's status.
  template <typename Run>
  void compute_by(const Interrupt &interrupt, Run &&run);
  // As llama.cpp writes it.
  std::vector<std::byte> state_of(uint32_t sequence) const;

  // An image in a sequence.
  struct Image {
    uint32_t begin;
    uint32_t tokens;
    uint32_t positions;
  };

  EngineFacts facts_;
  ggml_backend_dev_t gpu_ = nullptr;  // null: the CPU
  std::shared_ptr<llama_model> model_;
  std::unique_ptr<ImageEncoder> image_encoder_;
  uint32_t batch_tokens_ = 0;
  std::vector<std::vector<Image>> images_;  // of each sequence, in order
  ThreadCount thread_count_;
  bool adapts_threads_;
  std::unique_ptr<ggml_threadpool, void (*)(ggml_threadpool *)> threads_;
  std::unique_ptr<llama_context, decltype(&llama_free)> context_;
  llama_batch batch_{};
  std::vector<float> rows_;  // logits of a decode that took several calls
  const Interrupt *interrupt_ = nullptr;
};

}  // namespace se
