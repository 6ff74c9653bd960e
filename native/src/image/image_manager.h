// ImageManager: one open diffusion model; what se_image_* does, with exceptions.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/interrupt.h"
#include "engines/diffusion_model.h"
#include "formats/bundle.h"

namespace se {

// Asks for a random seed.
constexpr uint32_t kRandomSeed = UINT32_MAX;

struct ImageProgress {
  uint32_t image;  // index in the batch
  uint32_t images;
  uint32_t step;  // steps done of this image
  uint32_t steps;
  const Image *preview;  // null: none
};

// Both return false to stop the call.
struct ImageCallbacks {
  std::function<bool(const Image &, uint32_t seed)> on_image;
  std::function<bool(const ImageProgress &, uint32_t seed)> on_progress;
};

struct ImageResult {
  uint32_t seed = 0;  // of the first image
  uint32_t images = 0;
  uint32_t steps = 0;  // done in total
  double total_seconds = 0;
  double step_seconds = 0;  // mean
  double first_step_seconds = 0;
};

// Used by one thread at a time.
class ImageManager {
 public:
  static constexpr char kTask[] = "image";

  // `threads` 0: the performance cores. FORMAT_MISMATCH: not a bundle for images.
  static std::unique_ptr<ImageManager> open(const std::filesystem::path &path, int threads);

  // With the model's own size, steps and scales.
  ImageRequest defaults() const;
  // INVALID_ARGUMENT, UNSUPPORTED: what this model cannot generate.
  void check(const ImageRequest &request) const;
  // Fills `result` also when an interrupt is thrown.
  void generate(ImageRequest request, const ImageCallbacks &callbacks, const Interrupt &interrupt, ImageResult &result);
  std::string info_json() const;

 private:
  ImageManager(const Bundle &bundle, int threads);
  uint64_t workspace_bytes(const ImageRequest &request) const;
  void check_memory(const ImageRequest &request) const;

  ImageDefaults own_;
  int threads_;
  double load_seconds_ = 0;
  std::map<std::string, std::filesystem::path> tokenizer_files_;
  std::unique_ptr<DiffusionModel> model_;
};

}  // namespace se
