// stable-diffusion.cpp behind a small interface: what of it the ImageManager needs, with exceptions for every failure.
//
// The library reports failures by its log, by NULL and by ending the process. Here all of them become se::Error: its
// assertions throw, each piece of working memory is compared with what is free before it is taken, and a call that is
// stopped unwinds. Its callbacks and its log are global, so a process loads or runs one model at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engines/diffusion_file.h"

namespace se {

// Rows from the top, `channels` bytes per pixel.
struct Image {
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t channels = 0;
  std::vector<uint8_t> pixels;
};

struct ImageView {
  uint32_t width = 0;
  uint32_t height = 0;
  const uint8_t *pixels = nullptr;  // NULL: no image
};

struct LoraFile {
  std::filesystem::path path;
  float strength;
};

// Names of samplers and schedules are stable-diffusion.cpp's; empty: the model's own.
struct ImageRequest {
  std::string prompt;
  std::string negative_prompt;
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t steps = 0;
  std::string sampler;
  std::string schedule;
  float cfg_scale = 1;
  float guidance = 0;
  float flow_shift = 0;  // of the model's own schedule; 0: the family's default
  float strength = 1;
  uint32_t seed = 0;
  uint32_t batch = 1;
  bool vae_tiling = false;
  bool preview = false;
  ImageView init;  // RGB, width x height pixels
  ImageView mask;  // one channel, the same size; white is generated
  std::vector<LoraFile> loras;
};

// All are called on the caller's thread, except `stopped`, which the engine's threads call often.
struct GenerationHooks {
  std::function<bool()> stopped;
  std::function<void(uint32_t step, uint32_t steps)> on_step;
  std::function<void(const Image &)> on_preview;
  // How much working memory may be allocated, in bytes; 0: unknown.
  std::function<uint64_t()> memory_available;
};

class DiffusionModel {
 public:
  // `tokenizer_files`: by name, those of tokenizer_files_of(family).
  DiffusionModel(const std::filesystem::path &file, const std::map<std::string, std::filesystem::path> &tokenizer_files,
                 int threads, const std::function<uint64_t()> &memory_available);
  ~DiffusionModel();
  DiffusionModel(const DiffusionModel &) = delete;
  DiffusionModel &operator=(const DiffusionModel &) = delete;

  const DiffusionFacts &facts() const { return facts_; }
  uint64_t weights_bytes() const;

  // The images of the batch. A stopped call throws CANCELLED, also after a timeout.
  std::vector<Image> generate(const ImageRequest &request, const GenerationHooks &hooks);

  static bool knows_sampler(const std::string &name);
  static bool knows_schedule(const std::string &name);

 private:
  struct Engine;
  DiffusionFacts facts_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace se
