// Opens image bundles, checks requests, and has stable-diffusion.cpp generate images.
#include "image/image_manager.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <random>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "image/prompt_text.h"

namespace se {
namespace fs = std::filesystem;
namespace {

constexpr size_t kLongestPrompt = 8192;
constexpr uint32_t kLargestSide = 4096;
constexpr uint32_t kMostSteps = 500;
constexpr uint32_t kMostImages = 64;
constexpr uint32_t kTilePixels = 256;
// Upstream's random numbers take a seed that is not negative.
constexpr uint32_t kGreatestSeed = 0x7FFFFFFF;

Bundle bundle_at(const fs::path &path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    throw Error(SE_FORMAT_MISMATCH, ticked(path.string()) + " is a file, and image models are opened as bundles",
                "make one: sphere-edge package " + path.string());
  }
  Bundle bundle = read_bundle_for(path, ImageManager::kTask);
  if (bundle.engine != "diffusion") throw bundle.other_engine();
  return bundle;
}

void check_range(const char *name, uint32_t value, uint32_t least, uint32_t most) {
  require(value >= least && value <= most, std::string("the ") + name + " is not from " + std::to_string(least) +
                                               " to " + std::to_string(most) + ": " + ticked(uint64_t{value}));
}

void check_side(const char *name, uint32_t value, uint32_t multiple) {
  check_range(name, value, multiple, kLargestSide);
  const uint32_t nearest = std::max(multiple, (value + multiple / 2) / multiple * multiple);
  require(
      value % multiple == 0,
      std::string("the ") + name + " is not a multiple of " + std::to_string(multiple) + ": " + ticked(uint64_t{value}),
      "take " + std::to_string(nearest));
}

void check_text(const char *name, const std::string &text) {
  require(text.size() <= kLongestPrompt, std::string("the ") + name + " has " + ticked(std::to_string(text.size())) +
                                             " bytes, more than " + std::to_string(kLongestPrompt));
  require(to_utf8(text) == text, std::string("the ") + name + " is not valid UTF-8");
  require(text.find('\0') == std::string::npos, std::string("the ") + name + " contains a zero byte");
}

void check_scale(const char *name, float value) {
  require(std::isfinite(value) && value >= 0 && value <= 100, std::string("the ") + name + " is not from 0 to 100");
}

void check_view(const char *name, const ImageView &view, const ImageRequest &request) {
  if (view.pixels == nullptr) return;
  require(view.width == request.width && view.height == request.height,
          std::string("the ") + name + " has " + std::to_string(view.width) + "x" + std::to_string(view.height) +
              " pixels, the image to generate " + std::to_string(request.width) + "x" + std::to_string(request.height),
          "scale it to the size of the image first");
}

// What upstream's schedules divide by, or look up in a table, with these steps.
void check_schedule(const std::string &schedule, uint32_t steps, const std::string &family) {
  if (schedule.empty()) return;
  require(DiffusionModel::knows_schedule(schedule), "no such schedule: " + ticked(to_utf8(schedule)),
          "choose from discrete, karras, exponential, ays, gits, sgm_uniform, simple, smoothstep, kl_optimal, lcm, "
          "bong_tangent");
  const bool needs_two = schedule == "karras" || schedule == "exponential" || schedule == "gits" || schedule == "ays";
  require(steps > 1 || !needs_two, "the schedule " + ticked(schedule) + " needs two steps or more");
  require(schedule != "ays" || family.starts_with("sd1") || family.starts_with("sdxl"),
          "the schedule `ays` is for the families sd1 and sdxl, not for " + ticked(family));
}

void check_initial_image(const ImageRequest &request, const DiffusionFacts &facts) {
  check_view("initial image", request.init, request);
  check_view("mask", request.mask, request);
  require(std::isfinite(request.strength) && request.strength > 0 && request.strength <= 1,
          "the strength is not above 0 and up to 1");
  require(request.mask.pixels == nullptr || request.init.pixels != nullptr, "a mask needs an initial image");
  require(!facts.inpaints || (request.init.pixels != nullptr && request.mask.pixels != nullptr),
          "a model for inpainting needs an initial image and a mask");
  if (request.init.pixels != nullptr && !facts.has_encoder) {
    throw Error(SE_UNSUPPORTED, "the model's VAE cannot read images: it has no encoder",
                "package the model with a complete VAE");
  }
}

void check_loras(const ImageRequest &request) {
  require(request.loras.size() <= 16, "more than 16 LoRAs");
  for (const LoraFile &lora : request.loras) {
    require(std::isfinite(lora.strength) && std::fabs(lora.strength) <= 100,
            "a LoRA's strength is not from -100 to 100");
    check_lora(lora.path);
  }
}

// Turns the engine's reports of steps into progress and timings.
class Progress {
 public:
  Progress(const ImageRequest &request, const ImageCallbacks &callbacks, ImageResult &result)
      : request_(request), callbacks_(callbacks), result_(result) {}

  void keep_preview(const Image &image) { preview_ = image; }

  void step(uint32_t step, uint32_t steps) {
    if (result_.steps++ == 0) {
      first_step_ = Clock::now();
      result_.first_step_seconds = std::chrono::duration<double>(first_step_ - begin_).count();
    }
    const uint32_t image = std::min((result_.steps - 1) / std::max(steps, 1U), request_.batch - 1);
    const ImageProgress progress{image, request_.batch, std::min(step, steps), steps,
                                 preview_.pixels.empty() ? nullptr : &preview_};
    if (result_.steps > 1) result_.step_seconds = seconds_since(first_step_) / (result_.steps - 1);
    cancel_unless(!is_cancelled_ && callbacks_.on_progress(progress, request_.seed));
  }

  void images(const std::vector<Image> &images, const Interrupt &interrupt) {
    for (uint32_t i = 0; i < images.size(); ++i) {
      interrupt.check();
      result_.images = i + 1;
      cancel_unless(callbacks_.on_image(images[i], request_.seed + i));
    }
  }

  void finish() {
    result_.total_seconds = seconds_since(begin_);
    if (result_.steps == 1) result_.step_seconds = result_.first_step_seconds;
  }

  bool is_cancelled() const { return is_cancelled_; }

 private:
  void cancel_unless(bool is_wanted) {
    is_cancelled_ = !is_wanted;
    if (is_cancelled_) throw Error(SE_CANCELLED, "the callback stopped the call");
  }

  const ImageRequest &request_;
  const ImageCallbacks &callbacks_;
  ImageResult &result_;
  // Read by the engine's threads, too.
  std::atomic<bool> is_cancelled_ = false;
  Image preview_;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point first_step_;
};

}  // namespace

ImageManager::ImageManager(const Bundle &bundle, int threads) : own_(bundle.image.value()), threads_(threads) {
  for (const BundleFile &file : bundle.files) {
    if (file.role == "tokenizer") tokenizer_files_[fs::path(file.relative).filename().string()] = file.path;
  }
  model_ =
      std::make_unique<DiffusionModel>(bundle.file("model").path, tokenizer_files_, threads, memory_available_bytes);
}

std::unique_ptr<ImageManager> ImageManager::open(const fs::path &path, int threads) {
  const auto begin = Clock::now();
  adopt_engine_logs();
  threads = checked_threads(threads);
  std::unique_ptr<ImageManager> image(new ImageManager(bundle_at(path), threads));
  image->load_seconds_ = seconds_since(begin);
  return image;
}

ImageRequest ImageManager::defaults() const {
  ImageRequest request;
  request.width = own_.width;
  request.height = own_.height;
  request.steps = own_.steps;
  request.cfg_scale = own_.cfg_scale;
  request.guidance = own_.guidance;
  request.flow_shift = own_.flow_shift;
  request.seed = kRandomSeed;
  request.strength = 0.75F;
  return request;
}

void ImageManager::check(const ImageRequest &request) const {
  const DiffusionFacts &facts = model_->facts();
  check_text("prompt", request.prompt);
  check_text("negative prompt", request.negative_prompt);
  check_side("width", request.width, facts.size_multiple);
  check_side("height", request.height, facts.size_multiple);
  check_range("number of steps", request.steps, 1, kMostSteps);
  check_range("number of images", request.batch, 1, kMostImages);
  check_scale("cfg scale", request.cfg_scale);
  check_scale("guidance", request.guidance);
  require(facts.has_guidance || request.guidance == own_.guidance,
          "the model does not support distilled guidance, so its guidance cannot be changed",
          "give a cfg scale instead");
  require(request.negative_prompt.empty() || request.cfg_scale != 1,
          "a negative prompt needs a cfg scale other than 1: `1` turns classifier-free guidance off",
          "leave it out, or give a cfg scale such as 4: each step then takes twice as long");
  require(request.sampler.empty() || DiffusionModel::knows_sampler(request.sampler),
          "no such sampler: " + ticked(to_utf8(request.sampler)),
          "choose from euler, euler_a, heun, dpm2, dpm++2s_a, dpm++2m, dpm++2mv2, ipndm, ipndm_v, lcm, ddim_trailing, "
          "tcd, res_multistep, res_2s, er_sde");
  check_schedule(request.schedule, request.steps, facts.family);
  check_initial_image(request, facts);
  check_loras(request);
}

// The VAE's widest convolution at full size (unrolled, in float16, with its input and output) or the diffusion model's
// attention with the layers around it, whichever is larger. The engine's own plan is compared with the free memory
// before each allocation; this is to refuse before minutes of work.
uint64_t ImageManager::workspace_bytes(const ImageRequest &request) const {
  const DiffusionFacts &facts = model_->facts();
  uint64_t pixels = uint64_t{request.width} * request.height;
  const uint64_t tokens = pixels / (uint64_t{facts.patch} * facts.patch);
  if (request.vae_tiling) pixels = std::min<uint64_t>(pixels, kTilePixels * kTilePixels);
  const uint64_t vae = pixels * facts.vae_width * (9 * 2 + 2 * 4);
  const uint64_t diffusion = tokens * tokens * facts.heads * 4 + tokens * facts.width * 4 * 24;
  return std::max(vae, diffusion);
}

void ImageManager::check_memory(const ImageRequest &request) const {
  const uint64_t needed = workspace_bytes(request);
  const uint64_t free = memory_available_bytes();
  if (free == 0 || needed <= free) return;
  throw Error(SE_OOM_RAM,
              "an image of " + std::to_string(request.width) + "x" + std::to_string(request.height) + " needs " +
                  std::to_string(needed >> 20) + " MiB and " + std::to_string(free >> 20) + " MiB are free",
              request.vae_tiling ? "ask for a smaller image" : "ask for a smaller image, or for vae_tiling");
}

void ImageManager::generate(ImageRequest request, const ImageCallbacks &callbacks, const Interrupt &interrupt,
                            ImageResult &result) {
  check_memory(request);
  request.prompt = readable_prompt(request.prompt);
  request.negative_prompt = readable_prompt(request.negative_prompt);
  if (request.seed == kRandomSeed) request.seed = std::random_device()();
  request.seed &= kGreatestSeed;
  result.seed = request.seed;
  Progress progress(request, callbacks, result);
  GenerationHooks hooks;
  hooks.stopped = [&] { return progress.is_cancelled() || interrupt.raised(); };
  hooks.memory_available = memory_available_bytes;
  hooks.on_preview = [&](const Image &image) { progress.keep_preview(image); };
  hooks.on_step = [&](uint32_t step, uint32_t steps) { progress.step(step, steps); };
  try {
    progress.images(model_->generate(request, hooks), interrupt);
  } catch (...) {
    progress.finish();
    // A stopped engine cannot tell a cancel from a timeout.
    interrupt.check();
    throw;
  }
  progress.finish();
}

std::string ImageManager::info_json() const {
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
                     {"reads_images", facts.has_encoder},
                     {"inpaints", facts.inpaints},
                     {"threads", threads_},
                     {"weights_bytes", model_->weights_bytes()},
                     {"load_seconds", load_seconds_}}
      .dump();
}

}  // namespace se
