// Opens image bundles, checks what is asked of them, and lets stable-diffusion.cpp paint.
#include "image/image_manager.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

#include "base/cpu.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "formats/safetensors.h"

namespace se {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLongestPrompt = 8192;
constexpr uint32_t kLargestSide = 4096;
constexpr uint32_t kMostSteps = 500;
constexpr uint32_t kMostPictures = 64;
constexpr uint32_t kTilePixels = 256;
// Upstream's random numbers take a seed that is not negative.
constexpr uint32_t kGreatestSeed = 0x7FFFFFFF;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

Bundle bundle_at(const fs::path &path) {
  std::error_code error;
  if (!fs::exists(path, error)) throw Error(SE_NOT_FOUND, "no such folder: " + ticked(path.string()));
  if (!fs::is_directory(path)) {
    throw Error(SE_FORMAT_MISMATCH, ticked(path.string()) + " is a file, and image models are opened as bundles",
                "make one: sphere-edge package " + path.string());
  }
  if (!fs::exists(path / "bundle.json")) throw Error(SE_NOT_FOUND, "no bundle.json in " + ticked(path.string()));
  Bundle bundle = read_bundle(path);
  if (bundle.task != "image") {
    throw Error(SE_FORMAT_MISMATCH, "the bundle is for " + ticked(bundle.task) + ", not for images",
                "open it with the manager of that task");
  }
  if (bundle.engine != "diffusion") {
    throw Error(SE_UNSUPPORTED, "the engine " + ticked(bundle.engine) + " paints no pictures");
  }
  return bundle;
}

void check_side(const char *name, uint32_t value, uint32_t multiple) {
  require(value >= multiple && value <= kLargestSide,
          std::string("the ") + name + " is not from " + std::to_string(multiple) + " to " +
              std::to_string(kLargestSide) + ": " + ticked(std::to_string(value)));
  const uint32_t nearest = std::max(multiple, (value + multiple / 2) / multiple * multiple);
  require(value % multiple == 0,
          std::string("the ") + name + " is no multiple of " + std::to_string(multiple) + ": " +
              ticked(std::to_string(value)),
          "take " + std::to_string(nearest));
}

void check_text(const char *name, const std::string &text) {
  require(text.size() <= kLongestPrompt, std::string("the ") + name + " has " + ticked(std::to_string(text.size())) +
                                             " bytes, more than " + std::to_string(kLongestPrompt));
  require(to_utf8(text) == text, std::string("the ") + name + " is no valid UTF-8");
  require(text.find('\0') == std::string::npos, std::string("the ") + name + " holds a zero byte");
}

void check_scale(const char *name, float value) {
  require(std::isfinite(value) && value >= 0 && value <= 100, std::string("the ") + name + " is not from 0 to 100");
}

void check_picture(const char *name, const PictureView &view, const PaintRequest &request) {
  if (view.pixels == nullptr) return;
  require(view.width == request.width && view.height == request.height,
          std::string("the ") + name + " has " + std::to_string(view.width) + "x" + std::to_string(view.height) +
              " pixels, the picture " + std::to_string(request.width) + "x" + std::to_string(request.height),
          "scale it to the picture's size first");
}

// What upstream's schedules divide by, or look up in a table, with these steps.
void check_schedule(const std::string &schedule, uint32_t steps, const std::string &family) {
  if (schedule.empty()) return;
  require(DiffusionModel::knows_schedule(schedule), "no such schedule: " + ticked(to_utf8(schedule)),
          "choose from discrete, karras, exponential, ays, gits, sgm_uniform, simple, smoothstep, kl_optimal, lcm, "
          "bong_tangent");
  const bool wants_two = schedule == "karras" || schedule == "exponential" || schedule == "gits" || schedule == "ays";
  require(steps > 1 || !wants_two, "the schedule " + ticked(schedule) + " needs two steps or more");
  require(schedule != "ays" || family.starts_with("sd1") || family.starts_with("sdxl"),
          "the schedule `ays` is for the families sd1 and sdxl, not for " + ticked(family));
}

}  // namespace

ImageManager::ImageManager(const Bundle &bundle, int threads) : own_(bundle.image.value()), threads_(threads) {
  for (const BundleFile &file : bundle.files) {
    if (file.role == "tokenizer") tables_[fs::path(file.relative).filename().string()] = file.path;
  }
  model_ = std::make_unique<DiffusionModel>(bundle.file("model").path, tables_, threads, memory_available_bytes);
}

std::unique_ptr<ImageManager> ImageManager::open(const fs::path &path, int threads) {
  const auto begin = Clock::now();
  adopt_engine_logs();
  require(threads >= 0 && threads <= 512, "threads is out of range: " + ticked(std::to_string(threads)));
  if (threads == 0) threads = performance_cores();
  std::unique_ptr<ImageManager> image(new ImageManager(bundle_at(path), threads));
  image->load_seconds_ = seconds_since(begin);
  return image;
}

se_image_generate_options ImageManager::defaults() const {
  se_image_generate_options options{};
  options.size = sizeof(options);
  options.width = own_.width;
  options.height = own_.height;
  options.steps = own_.steps;
  options.cfg_scale = own_.cfg_scale;
  options.guidance = own_.guidance;
  options.seed = SE_SEED_RANDOM;
  options.batch = 1;
  options.strength = 0.75F;
  return options;
}

void ImageManager::check(const PaintRequest &request) const {
  const DiffusionFacts &facts = model_->facts();
  check_text("prompt", request.prompt);
  check_text("negative prompt", request.negative_prompt);
  check_side("width", request.width, facts.size_multiple);
  check_side("height", request.height, facts.size_multiple);
  require(request.steps >= 1 && request.steps <= kMostSteps, "the number of steps is not from 1 to " +
                                                                 std::to_string(kMostSteps) + ": " +
                                                                 ticked(std::to_string(request.steps)));
  require(request.batch >= 1 && request.batch <= kMostPictures, "the number of pictures is not from 1 to " +
                                                                    std::to_string(kMostPictures) + ": " +
                                                                    ticked(std::to_string(request.batch)));
  check_scale("cfg scale", request.cfg_scale);
  check_scale("guidance", request.guidance);
  require(facts.has_guidance || request.guidance == own_.guidance,
          "the model has not learnt to be guided: its guidance cannot be changed", "give a cfg scale instead");
  require(request.negative_prompt.empty() || request.cfg_scale != 1,
          "a negative prompt needs a cfg scale other than 1: with `1` nothing is compared with it",
          "leave it out, or give a cfg scale such as 4: each step then takes twice as long");
  require(std::isfinite(request.strength) && request.strength > 0 && request.strength <= 1,
          "the strength is not above 0 and up to 1");
  require(request.sampler.empty() || DiffusionModel::knows_sampler(request.sampler),
          "no such sampler: " + ticked(to_utf8(request.sampler)),
          "choose from euler, euler_a, heun, dpm2, dpm++2s_a, dpm++2m, dpm++2mv2, ipndm, ipndm_v, lcm, ddim_trailing, "
          "tcd, res_multistep, res_2s, er_sde");
  check_schedule(request.schedule, request.steps, facts.family);
  check_picture("picture to start from", request.init, request);
  check_picture("mask", request.mask, request);
  require(request.mask.pixels == nullptr || request.init.pixels != nullptr, "a mask needs a picture to start from");
  require(!facts.inpaints || (request.init.pixels != nullptr && request.mask.pixels != nullptr),
          "a model for inpainting needs a picture and a mask");
  if (request.init.pixels != nullptr && !facts.has_encoder) {
    throw Error(SE_UNSUPPORTED, "the model's VAE cannot read pictures: it has no encoder",
                "package the model with a whole VAE");
  }
  require(request.loras.size() <= 16, "more than 16 LoRAs");
  for (const LoraFile &lora : request.loras) {
    require(std::isfinite(lora.strength) && std::fabs(lora.strength) <= 100,
            "a LoRA's strength is not from -100 to 100");
    check_lora(lora.path);
  }
}

// The VAE's widest convolution at full size (unrolled, in float16, with its input and output) or the diffusion model's
// attention with the layers around it, whichever is larger. The engine's own plan is compared with what is free before
// each allocation; this is to refuse before minutes of work.
uint64_t ImageManager::workspace_bytes(const PaintRequest &request) const {
  const DiffusionFacts &facts = model_->facts();
  uint64_t pixels = uint64_t{request.width} * request.height;
  const uint64_t tokens = pixels / (uint64_t{facts.patch} * facts.patch);
  if (request.vae_tiling) pixels = std::min<uint64_t>(pixels, kTilePixels * kTilePixels);
  const uint64_t vae = pixels * facts.vae_width * (9 * 2 + 2 * 4);
  const uint64_t diffusion = tokens * tokens * facts.heads * 4 + tokens * facts.width * 4 * 24;
  return std::max(vae, diffusion);
}

void ImageManager::generate(PaintRequest request, uint32_t timeout_ms, const PictureReceiver &on_picture,
                            const ProgressReceiver &on_progress, se_image_result &result) {
  const auto begin = Clock::now();
  check(request);
  request.flow_shift = own_.flow_shift;
  const Turn::Call call(turn_, timeout_ms);
  const uint64_t needed = workspace_bytes(request);
  const uint64_t free = memory_available_bytes();
  if (free != 0 && needed > free) {
    throw Error(SE_OOM_RAM,
                "a picture of " + std::to_string(request.width) + "x" + std::to_string(request.height) + " needs " +
                    std::to_string(needed >> 20) + " MiB and " + std::to_string(free >> 20) + " MiB are free",
                request.vae_tiling ? "ask for a smaller picture" : "ask for a smaller picture, or for vae_tiling");
  }
  if (request.seed == SE_SEED_RANDOM) request.seed = std::random_device()();
  request.seed &= kGreatestSeed;
  result.seed = request.seed;

  bool refused = false;
  Clock::time_point first_step;
  Picture preview;
  PaintHooks hooks;
  hooks.stopped = [&] { return refused || turn_.interrupt().raised(); };
  hooks.memory_available = memory_available_bytes;
  hooks.on_preview = [&](const Picture &picture) { preview = picture; };
  hooks.on_step = [&](uint32_t step, uint32_t steps) {
    if (result.steps++ == 0) {
      first_step = Clock::now();
      result.first_step_seconds = std::chrono::duration<double>(first_step - begin).count();
    }
    const se_image_picture shown = {preview.width, preview.height, preview.channels, request.seed,
                                    preview.pixels.data()};
    const uint32_t picture = std::min((result.steps - 1) / std::max(steps, 1U), request.batch - 1);
    refused = refused || !on_progress({picture, request.batch, std::min(step, steps), steps,
                                       preview.pixels.empty() ? nullptr : &shown});
    if (result.steps > 1) result.step_seconds = seconds_since(first_step) / (result.steps - 1);
    if (refused) throw Error(SE_CANCELLED, "the receiver stopped the call");
  };
  const auto finish = [&] {
    result.total_seconds = seconds_since(begin);
    if (result.steps == 1) result.step_seconds = result.first_step_seconds;
  };
  try {
    const std::vector<Picture> pictures = model_->paint(request, hooks);
    for (uint32_t i = 0; i < pictures.size(); ++i) {
      turn_.interrupt().check();
      result.pictures = i + 1;
      if (!on_picture(pictures[i], request.seed + i)) throw Error(SE_CANCELLED, "the receiver stopped the call");
    }
  } catch (...) {
    finish();
    // A stopped engine cannot tell a cancel from a timeout.
    turn_.interrupt().check();
    throw;
  }
  finish();
}

std::string ImageManager::info_json() {
  const Turn::Call call(turn_, 0);
  const DiffusionFacts &facts = model_->facts();
  return OrderedJson{{"engine", "diffusion"},
                     {"backend", "cpu"},
                     {"family", facts.family},
                     {"quantization", facts.commonest_type},
                     {"parameters", facts.parameters},
                     {"width", own_.width},
                     {"height", own_.height},
                     {"steps", own_.steps},
                     {"cfg_scale", own_.cfg_scale},
                     {"guidance", own_.guidance},
                     {"size_multiple", facts.size_multiple},
                     {"reads_pictures", facts.has_encoder},
                     {"inpaints", facts.inpaints},
                     {"threads", threads_},
                     {"weights_bytes", model_->weights_bytes()},
                     {"load_seconds", load_seconds_}}
      .dump();
}

}  // namespace se
