// The image encoder of a GGUF model: llama.cpp's mtmd computes vectors of images.
#pragma once

#include <llama.h>
#include <mtmd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engines/engine.h"
#include "engines/image_encoder.h"

namespace se {

class MtmdEncoder : public ImageEncoder {
 public:
  // `gpu` null: the CPU. MODEL_CORRUPT, UNSUPPORTED, OOM_RAM, OOM_VRAM; FORMAT_MISMATCH for the encoder of another
  // model.
  MtmdEncoder(const std::filesystem::path &path, std::shared_ptr<const llama_model> model, ggml_backend_dev_t gpu,
              int threads);

  std::vector<ImagePiece> divide(const ChatImage &image) override;
  ImageEmbeddings encode(const ImagePart &part, const Interrupt &interrupt) override;
  bool sees_all() const override { return mtmd_decode_use_non_causal(context_.get(), nullptr); }

 private:
  struct Part;

  static bool evaluated(ggml_tensor *tensor, bool asks, void *self);

  std::shared_ptr<const llama_model> model_;
  std::unique_ptr<mtmd_context, decltype(&mtmd_free)> context_;
  bool is_on_gpu_;
  const Interrupt *interrupt_ = nullptr;
  // Operations since the last look at the interrupt, and how many there are between two.
  uint32_t nodes_ = 0;
  uint32_t nodes_at_once_ = 16;
  Clock::time_point looked_{};
};

}  // namespace se
