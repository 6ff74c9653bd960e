// ImageManager: one opened diffusion model; what se_image_* does, with exceptions.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/call_guard.h"
#include "engines/diffusion_model.h"
#include "formats/bundle.h"
#include "sphere_edge.h"

namespace se {

class ImageManager {
 public:
  // Both: false stops.
  using PictureReceiver = std::function<bool(const Picture &, uint32_t seed)>;
  using ProgressReceiver = std::function<bool(const se_image_progress &)>;

  // `threads` 0: the performance cores. FORMAT_MISMATCH: no bundle for images.
  static std::unique_ptr<ImageManager> open(const std::filesystem::path &path, int threads);

  se_image_generate_options defaults() const;
  // `result` is filled also when an interrupt is thrown.
  void generate(PaintRequest request, uint32_t timeout_ms, const PictureReceiver &on_picture,
                const ProgressReceiver &on_progress, se_image_result &result);
  void cancel() { turn_.cancel(); }
  void wait() { turn_.wait(); }
  std::string info_json();

 private:
  ImageManager(const Bundle &bundle, int threads);
  void check(const PaintRequest &request) const;
  uint64_t workspace_bytes(const PaintRequest &request) const;

  Turn turn_;
  ImageDefaults own_;
  int threads_;
  double load_seconds_ = 0;
  std::map<std::string, std::filesystem::path> tables_;
  std::unique_ptr<DiffusionModel> model_;
};

}  // namespace se
