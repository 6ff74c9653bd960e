// The C entry points of images: check the arguments, call the ImageManager inside guard, copy results out.
#include <memory>

#include "api/arguments.h"
#include "api/info.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "image/image_manager.h"
#include "sphere_edge.h"

struct se_image {
  std::unique_ptr<se::ImageManager> manager;
};

namespace se {

bool images_are_built_in() { return true; }

namespace {

constexpr size_t kMostParts = 64;

ImageManager &manager_of(se_image *image) {
  require(image != nullptr, "the image handle is NULL");
  return *image->manager;
}

std::string text_or_empty(const char *text) { return text == nullptr ? "" : text; }

PaintRequest typed(const char *prompt, const se_image_generate_options &options) {
  PaintRequest request;
  request.prompt = prompt;
  request.negative_prompt = text_or_empty(options.negative_prompt);
  request.width = options.width;
  request.height = options.height;
  request.steps = options.steps;
  request.sampler = text_or_empty(options.sampler);
  request.schedule = text_or_empty(options.schedule);
  request.cfg_scale = options.cfg_scale;
  request.guidance = options.guidance;
  request.strength = options.strength;
  request.seed = options.seed;
  request.batch = options.batch;
  request.vae_tiling = options.vae_tiling;
  request.preview = options.preview;
  request.init = {options.init_width, options.init_height, options.init};
  request.mask = {options.mask_width, options.mask_height, options.mask};
  require(options.loras != nullptr || options.lora_count == 0, "loras is NULL");
  require(options.lora_count <= 16, "more than 16 LoRAs");
  for (size_t i = 0; i < options.lora_count; ++i) {
    request.loras.push_back({string_argument(options.loras[i].path, "a LoRA's path"), options.loras[i].strength});
  }
  return request;
}

std::string describe(const DiffusionFacts &facts) {
  return OrderedJson{{"family", facts.family},
                     {"parameters", facts.parameters},
                     {"quantization", facts.commonest_type},
                     {"tensor_bytes", facts.tensor_bytes},
                     {"size_multiple", facts.size_multiple},
                     {"has_encoder", facts.has_encoder},
                     {"has_guidance", facts.has_guidance},
                     {"vae_width", facts.vae_width},
                     {"patch", facts.patch},
                     {"heads", facts.heads},
                     {"width", facts.width},
                     {"tables", tables_of(facts.family)}}
      .dump();
}

}  // namespace
}  // namespace se

using se::guard;

extern "C" {

se_status se_image_open(const char *path, const se_image_open_options *options, se_image **out_image) {
  return guard([&] {
    se_image *&out = se::target(out_image, "out_image");
    se_image_open_options all{sizeof(all), 0};
    se::copy_options(options, all);
    auto manager = se::ImageManager::open(se::string_argument(path, "path"), all.threads);
    out = new se_image{std::move(manager)};
  });
}

void se_image_close(se_image *image) {
  if (image == nullptr) return;
  image->manager->wait();
  delete image;
}

se_status se_image_info(se_image *image, char **out_json) {
  return guard([&] {
    char *&out = se::target(out_json, "out_json");
    out = se::copy_string(se::manager_of(image).info_json());
  });
}

se_status se_image_default_options(se_image *image, se_image_generate_options *out_options) {
  return guard([&] { se::target(out_options, "out_options") = se::manager_of(image).defaults(); });
}

se_status se_image_generate(se_image *image, const char *prompt, const se_image_generate_options *options,
                            se_image_picture_fn on_picture, void *user_data, se_image_result *out_result) {
  return se::guard_with_result(out_result, [&](se_image_result &result) {
    se::ImageManager &manager = se::manager_of(image);
    se_image_generate_options all = manager.defaults();
    se::copy_options(options, all);
    manager.generate(
        se::typed(se::string_argument(prompt, "prompt"), all), all.timeout_ms,
        [&](const se::Picture &picture, uint32_t seed) {
          const se_image_picture shown = {picture.width, picture.height, picture.channels, seed, picture.pixels.data()};
          return on_picture == nullptr || on_picture(&shown, user_data);
        },
        [&](const se_image_progress &progress) {
          return all.on_progress == nullptr || all.on_progress(&progress, user_data);
        },
        result);
  });
}

void se_image_cancel(se_image *image) {
  if (image != nullptr) image->manager->cancel();
}

se_status se_image_convert(const se_image_part *parts, size_t part_count, const char *type, const char *output,
                           se_image_convert_fn on_progress, void *user_data, char **out_json) {
  return guard([&] {
    char *&out = se::target(out_json, "out_json");
    const std::string target = se::string_argument(output, "output");
    se::require(parts != nullptr && part_count > 0 && part_count <= se::kMostParts, "there are no parts, or too many");
    std::vector<se::DiffusionPart> all;
    for (size_t i = 0; i < part_count; ++i) {
      all.push_back({se::string_argument(parts[i].path, "a part's path"), se::text_or_empty(parts[i].prefix)});
    }
    se::adopt_engine_logs();
    const se::EngineErrors errors;
    se::convert_diffusion(all, se::text_or_empty(type), target, [&](uint64_t done, uint64_t total) {
      return on_progress == nullptr || on_progress(done, total, user_data);
    });
    out = se::copy_string(se::describe(se::inspect_diffusion(target)));
  });
}

}  // extern "C"
