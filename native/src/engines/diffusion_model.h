// stable-diffusion.cpp behind a small interface: what of it the ImageManager needs, with exceptions for every failure.
//
// The library reports failures by its log, by NULL and by ending the process. Here all of them become se::Error: its
// assertions throw, each piece of working memory is compared with what is free before it is taken, and a call that is
// stopped unwinds. Its callbacks and its log are global, so one model is loaded or painting at a time in a process.
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

// A picture: rows from the top, `channels` bytes per pixel.
struct Picture {
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t channels = 0;
  std::vector<uint8_t> pixels;
};

struct PictureView {
  uint32_t width = 0;
  uint32_t height = 0;
  const uint8_t *pixels = nullptr;  // NULL: there is none
};

struct LoraFile {
  std::filesystem::path path;
  float strength;
};

// What to paint. Names of samplers and schedules are stable-diffusion.cpp's; empty: the model's own.
struct PaintRequest {
  std::string prompt;
  std::string negative_prompt;
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t steps = 0;
  std::string sampler;
  std::string schedule;
  float cfg_scale = 1;
  float guidance = 0;
  float flow_shift = 0;  // of the model's own schedule; 0: the family's
  float strength = 1;
  uint32_t seed = 0;
  uint32_t batch = 1;
  bool vae_tiling = false;
  bool preview = false;
  PictureView init;  // RGB, of the asked size
  PictureView mask;  // one channel, of the asked size; white is painted
  std::vector<LoraFile> loras;
};

// All are called on the caller's thread, but `stopped` from the engine's threads, often.
struct PaintHooks {
  std::function<bool()> stopped;
  std::function<void(uint32_t step, uint32_t steps)> on_step;
  std::function<void(const Picture &)> on_preview;
  // How much working memory may be taken, in bytes; 0: unknown.
  std::function<uint64_t()> memory_available;
};

class DiffusionModel {
 public:
  // `tables`: files by the names of TokenizerTables; those that tables_of names for the family must be there.
  DiffusionModel(const std::filesystem::path &file, const std::map<std::string, std::filesystem::path> &tables,
                 int threads, const std::function<uint64_t()> &memory_available);
  ~DiffusionModel();
  DiffusionModel(const DiffusionModel &) = delete;
  DiffusionModel &operator=(const DiffusionModel &) = delete;

  const DiffusionFacts &facts() const { return facts_; }
  uint64_t weights_bytes() const;
  // The most working memory that a graph of this process took so far.
  static uint64_t peak_workspace_bytes();

  // The pictures of the batch. CANCELLED and TIMEOUT are the caller's to tell apart: a stopped call throws CANCELLED.
  std::vector<Picture> paint(const PaintRequest &request, const PaintHooks &hooks);

  static bool knows_sampler(const std::string &name);
  static bool knows_schedule(const std::string &name);

 private:
  struct Engine;
  DiffusionFacts facts_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace se
