// The verb imagine: PNG files, and one JSON document with what they were painted from and how long it took.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <vector>

#include "base/cpu.h"
#include "png.h"
#include "verbs.h"

namespace runner {
namespace {

// Of what the core paints; it says so itself.
constexpr uint32_t kLargestSide = 4096;

// An open model that closes itself, and that Ctrl-C cancels.
class Image {
 public:
  Image(const std::string &path, int32_t threads) {
    const se_image_open_options options = {sizeof(options), threads};
    check(se_image_open(path.c_str(), &options, &image_));
    let_signals_cancel([image = image_] { se_image_cancel(image); });
  }
  ~Image() {
    let_signals_cancel(nullptr);
    se_image_close(image_);
  }
  Image(const Image &) = delete;
  Image &operator=(const Image &) = delete;

  se_image *handle() const { return image_; }

 private:
  se_image *image_ = nullptr;
};

struct Painting {
  std::string output;
  std::string prompt;
  uint32_t batch;
  Json images = Json::array();
  std::string failure = {};
};

// "out.png" becomes "out-2.png" for the second picture of several.
std::string name_of(const Painting &painting, size_t index) {
  if (painting.batch == 1) return painting.output;
  const size_t dot = painting.output.rfind('.');
  const size_t slash = painting.output.find_last_of('/');
  const bool has_suffix = dot != std::string::npos && (slash == std::string::npos || dot > slash);
  const std::string stem = has_suffix ? painting.output.substr(0, dot) : painting.output;
  return stem + "-" + std::to_string(index + 1) + (has_suffix ? painting.output.substr(dot) : "");
}

bool take(const se_image_picture *picture, void *user_data) {
  auto &painting = *static_cast<Painting *>(user_data);
  const std::string name = name_of(painting, painting.images.size());
  const Json parameters = {{"prompt", painting.prompt}, {"seed", picture->seed}};
  const std::string content = png(picture->width, picture->height, picture->channels, picture->pixels,
                                  {{"Software", "sphere-edge"}, {"parameters", parameters.dump(-1, ' ', true)}});
  std::ofstream stream(name, std::ios::binary);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  stream.close();
  if (!stream) painting.failure = "cannot write `" + name + "`";
  painting.images.push_back(
      {{"path", name}, {"width", picture->width}, {"height", picture->height}, {"seed", picture->seed}});
  return painting.failure.empty();
}

bool show(const se_image_progress *progress, void *) {
  std::fprintf(stderr, "\rpicture %u/%u, step %u/%u", progress->picture + 1, progress->pictures, progress->step,
               progress->steps);
  if (progress->step == progress->steps && progress->picture + 1 == progress->pictures) std::fputc('\n', stderr);
  return true;
}

}  // namespace

void run_imagine(const Arguments &arguments) {
  const std::string model = arguments.word(0, "MODEL");
  Painting painting{arguments.text("--output").value_or("out.png"), arguments.word(1, "PROMPT"), 1};
  const Image image(model, static_cast<int32_t>(arguments.number("--threads", 0, 1, 512)));
  se_image_generate_options options = {};
  check(se_image_default_options(image.handle(), &options));
  const std::string negative = arguments.text("--negative").value_or("");
  const std::string sampler = arguments.text("--sampler").value_or("");
  const std::string schedule = arguments.text("--schedule").value_or("");
  options.negative_prompt = negative.c_str();
  options.sampler = sampler.c_str();
  options.schedule = schedule.c_str();
  const auto count = [&](const char *name, uint32_t otherwise, int64_t least, int64_t most) {
    return static_cast<uint32_t>(arguments.number(name, otherwise, least, most));
  };
  options.width = count("--width", options.width, 1, INT32_MAX);
  options.height = count("--height", options.height, 1, INT32_MAX);
  options.steps = count("--steps", options.steps, 0, INT32_MAX);
  options.seed = count("--seed", options.seed, 0, INT32_MAX);
  options.batch = painting.batch = count("--batch", 1, 1, 64);
  options.timeout_ms = count("--timeout-ms", 0, 0, UINT32_MAX);
  options.cfg_scale = arguments.real("--cfg-scale", options.cfg_scale);
  options.guidance = arguments.real("--guidance", options.guidance);
  options.vae_tiling = arguments.has("--vae-tiling");
  char *told = nullptr;
  check(se_image_info(image.handle(), &told));
  const Json info = take_json(told);
  // No picture can be given here, so what a model for inpainting wants is an empty one, all of it to be painted.
  std::vector<uint8_t> empty;
  if (info["inpaints"].get<bool>() && options.width <= kLargestSide && options.height <= kLargestSide) {
    empty.assign(size_t{3} * options.width * options.height, 0xFF);
    options.init = options.mask = empty.data();
    options.init_width = options.mask_width = options.width;
    options.init_height = options.mask_height = options.height;
    options.strength = 1;
  }
  if (!arguments.has("--json")) options.on_progress = show;
  se_image_result result = {};
  result.size = sizeof(result);
  const se_status status =
      se_image_generate(image.handle(), painting.prompt.c_str(), &options, take, &painting, &result);
  if (!painting.failure.empty()) throw Failure{SE_STORAGE, painting.failure, "is there room on the disk?"};
  check(status);
  if (!arguments.has("--json")) {
    for (const Json &written : painting.images) std::cout << written["path"].get<std::string>() << "\n";
    return;
  }
  print_json({{"images", painting.images},
              {"engine", info["engine"]},
              {"backend", info["backend"]},
              {"family", info["family"]},
              {"quantization", info["quantization"]},
              {"threads", info["threads"]},
              {"width", options.width},
              {"height", options.height},
              {"steps", result.steps},
              {"load_seconds", info["load_seconds"]},
              {"total_seconds", result.total_seconds},
              {"step_seconds", result.step_seconds},
              {"first_step_seconds", result.first_step_seconds},
              {"weights_bytes", info["weights_bytes"]},
              {"peak_rss_bytes", se::peak_resident_bytes()}});
}

}  // namespace runner
