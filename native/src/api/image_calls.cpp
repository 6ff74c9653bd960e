// The C functions of ImageManager: check the arguments, call the manager inside guard, copy results out.
#include "api/arguments.h"
#include "api/handle.h"
#include "api/info.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "formats/trusted_keys.h"
#include "image/image_manager.h"
#include "sphere_edge.h"

struct se_image : se::Handle<se::ImageManager> {
  using Handle::Handle;
};

namespace se {

bool images_are_built_in() { return true; }

// Found by guard_with_result through its argument, which an unnamed namespace would hide.
se_image_result exported(const ImageResult &result) {
  return {
      sizeof(se_image_result),  result.seed, result.images, result.steps, {}, result.total_seconds, result.step_seconds,
      result.first_step_seconds};
}

namespace {

constexpr size_t kMostParts = 64;
static_assert(kRandomSeed == SE_SEED_RANDOM);

se_image_generate_options defaults_of(const ImageManager &manager) {
  const ImageRequest request = manager.defaults();
  se_image_generate_options options{};
  options.size = sizeof(options);
  options.width = request.width;
  options.height = request.height;
  options.steps = request.steps;
  options.cfg_scale = request.cfg_scale;
  options.guidance = request.guidance;
  options.seed = request.seed;
  options.batch = request.batch;
  options.strength = request.strength;
  return options;
}

ImageRequest request_of(const ImageManager &manager, const char *prompt, const se_image_generate_options &options) {
  ImageRequest request = manager.defaults();
  request.prompt = string_argument(prompt, "prompt");
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
  require(options.lora_count <= 16, "more than 16 LoRAs");
  for (const se_image_lora &lora : span_argument(options.loras, options.lora_count, "loras")) {
    request.loras.push_back({string_argument(lora.path, "a LoRA's path"), lora.strength});
  }
  manager.check(request);
  return request;
}

se_image_bitmap bitmap_of(const Image &image, uint32_t seed) {
  return {sizeof(se_image_bitmap), image.width, image.height, image.channels, seed, image.pixels.data()};
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
                     {"tokenizer_files", tokenizer_files_of(facts.family)}}
      .dump();
}

}  // namespace
}  // namespace se

using se::checked;
using se::guard;

extern "C" {

se_status se_image_open(const char *path, const se_image_open_options *options, se_image **out_image) {
  return se::open_handle(out_image, [&] {
    se_image_open_options all{};
    se::copy_options(options, all);
    const std::string model = se::string_argument(path, "path");
    if (all.trusted_keys != nullptr) se::require_trusted(model, all.trusted_keys);
    return se::ImageManager::open(model, all.threads);
  });
}

void se_image_close(se_image *image) { se::close_handle(image); }

se_status se_image_info(se_image *image, char **out_json) { return se::handle_info(image, out_json); }

se_status se_image_default_options(se_image *image, se_image_generate_options *out_options, size_t size) {
  return se::guard_defaults(out_options, size, [&] { return se::defaults_of(checked(image).manager()); });
}

se_status se_image_generate(se_image *image, const char *prompt, const se_image_generate_options *options,
                            se_image_bitmap_fn on_image, void *user_data, se_image_result *out_result) {
  return se::guard_with_result<se::ImageResult>(out_result, [&](se::ImageResult &result) {
    se_image &handle = checked(image);
    se_image_generate_options all = se::defaults_of(handle.manager());
    se::copy_options(options, all);
    // Checked before the call begins, which may have to wait for another one.
    const se::ImageRequest request = se::request_of(handle.manager(), prompt, all);
    se::ImageCallbacks callbacks;
    callbacks.on_image = [&](const se::Image &generated, uint32_t seed) {
      const se_image_bitmap bitmap = se::bitmap_of(generated, seed);
      return on_image == nullptr || on_image(&bitmap, user_data);
    };
    callbacks.on_progress = [&](const se::ImageProgress &progress, uint32_t seed) {
      const se_image_bitmap preview =
          progress.preview == nullptr ? se_image_bitmap{} : se::bitmap_of(*progress.preview, seed);
      const se_image_progress exported = {sizeof(se_image_progress),
                                          progress.image,
                                          progress.images,
                                          progress.step,
                                          progress.steps,
                                          progress.preview == nullptr ? nullptr : &preview};
      return all.on_progress == nullptr || all.on_progress(&exported, user_data);
    };
    handle.call(all.timeout_ms, [&](se::ImageManager &manager, const se::Interrupt &interrupt) {
      manager.generate(request, callbacks, interrupt, result);
    });
  });
}

void se_image_cancel(se_image *image) { se::cancel_handle(image); }

se_status se_image_convert(const se_image_part *parts, size_t part_count, const char *type, const char *output,
                           se_image_convert_fn on_progress, void *user_data, char **out_json) {
  return se::guard_string(out_json, [&] {
    const std::string file = se::string_argument(output, "output");
    se::require(parts != nullptr && part_count > 0 && part_count <= se::kMostParts, "there are no parts, or too many");
    std::vector<se::DiffusionPart> all;
    for (const se_image_part &part : std::span(parts, part_count)) {
      all.push_back({se::string_argument(part.path, "a part's path"), se::text_or_empty(part.prefix)});
    }
    se::adopt_engine_logs();
    const se::EngineErrors errors;
    se::convert_diffusion(all, se::text_or_empty(type), file, [&](uint64_t done, uint64_t total) {
      return on_progress == nullptr || on_progress(done, total, user_data);
    });
    return se::describe(se::inspect_diffusion(file));
  });
}

}  // extern "C"
