// The command generate-image: PNG files, and one JSON document with their parameters and timings.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <vector>

#include "base/cpu.h"
#include "commands.h"
#include "png.h"

namespace runner {
namespace {

// The core's limit, which it also reports itself.
constexpr uint32_t kLargestSide = 4096;

// An open model that closes itself and is cancelled by Ctrl-C.
class Image {
 public:
  Image(const std::string &path, const se_image_open_options &options) {
    check(se_image_open(path.c_str(), &options, &image_));
    set_signal_action([image = image_] { se_image_cancel(image); });
  }
  ~Image() {
    set_signal_action(nullptr);
    se_image_close(image_);
  }
  Image(const Image &) = delete;
  Image &operator=(const Image &) = delete;

  se_image *handle() const { return image_; }

 private:
  se_image *image_ = nullptr;
};

struct Output {
  std::string file;
  std::string prompt;
  uint32_t batch;
  Json images = Json::array();
  std::string failure = {};
};

// "out.png" becomes "out-2.png" for the second image of several.
std::string name_of(const Output &output, size_t index) {
  if (output.batch == 1) return output.file;
  const size_t dot = output.file.rfind('.');
  const size_t slash = output.file.find_last_of('/');
  const bool has_suffix = dot != std::string::npos && (slash == std::string::npos || dot > slash);
  const std::string stem = has_suffix ? output.file.substr(0, dot) : output.file;
  return stem + "-" + std::to_string(index + 1) + (has_suffix ? output.file.substr(dot) : "");
}

bool take(const se_image_bitmap *bitmap, void *user_data) {
  auto &output = *static_cast<Output *>(user_data);
  const std::string name = name_of(output, output.images.size());
  const Json parameters = {{"prompt", output.prompt}, {"seed", bitmap->seed}};
  const std::string content = png(bitmap->width, bitmap->height, bitmap->channels, bitmap->pixels,
                                  {{"Software", "sphere-edge"}, {"parameters", parameters.dump(-1, ' ', true)}});
  std::ofstream stream(name, std::ios::binary);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  stream.close();
  if (!stream) output.failure = "cannot write `" + name + "`";
  output.images.push_back(
      {{"path", name}, {"width", bitmap->width}, {"height", bitmap->height}, {"seed", bitmap->seed}});
  return output.failure.empty();
}

bool show(const se_image_progress *progress, void *) {
  std::fprintf(stderr, "\rimage %u/%u, step %u/%u", progress->image + 1, progress->images, progress->step,
               progress->steps);
  if (progress->step == progress->steps && progress->image + 1 == progress->images) std::fputc('\n', stderr);
  return true;
}

}  // namespace

void run_generate_image(const Arguments &arguments) {
  const std::string model = arguments.word(0, "MODEL");
  Output output{arguments.text("--output").value_or("out.png"), arguments.word(1, "PROMPT"), 1};
  const std::optional<std::string> trusted = trusted_keys(arguments);
  se_image_open_options opening = {};
  opening.size = sizeof(opening);
  opening.threads = static_cast<int32_t>(arguments.number("--threads", 0, 1, 512));
  opening.trusted_keys = trusted ? trusted->c_str() : nullptr;
  const Image image(model, opening);
  se_image_generate_options options = {};
  check(se_image_default_options(image.handle(), &options, sizeof(options)));
  const std::string negative = arguments.text("--negative-prompt").value_or("");
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
  options.batch = output.batch = count("--batch", 1, 1, 64);
  options.timeout_ms = count("--timeout-ms", 0, 0, UINT32_MAX);
  options.cfg_scale = arguments.real("--cfg-scale", options.cfg_scale);
  options.guidance = arguments.real("--guidance", options.guidance);
  options.vae_tiling = arguments.has("--vae-tiling");
  char *json = nullptr;
  check(se_image_info(image.handle(), &json));
  const Json info = take_json(json);
  // No image can be given here, so a model for inpainting gets an empty one, all of it masked.
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
  const se_status status = se_image_generate(image.handle(), output.prompt.c_str(), &options, take, &output, &result);
  if (!output.failure.empty()) throw Failure{SE_STORAGE, output.failure, "check the free disk space"};
  check(status);
  if (!arguments.has("--json")) {
    for (const Json &written : output.images) std::cout << written["path"].get<std::string>() << "\n";
    return;
  }
  print_json({{"images", output.images},
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
