// stable-diffusion.cpp itself, compiled as part of this file: it ends the process on unexpected input, allocates
// working memory without checking how much is free, and cannot be stopped, none of which can be fixed from outside. The
// macros below replace functions that it calls with our own.
#include "engines/diffusion_model.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include <chrono>
#include <cmath>
#include <mutex>

#include "base/log.h"
#include "base/status.h"
#include "engines/diffusion_file.h"
#include "engines/diffusion_tokenizer_files.h"

namespace se {
namespace {

// The current call; stable-diffusion.cpp's callbacks take no data of ours.
thread_local const GenerationHooks *hooks = nullptr;
thread_local const std::function<uint64_t()> *free_memory = nullptr;

// The engine's first error message: it reads weights on threads of its own. Only one model is loaded or runs at a time,
// so the message belongs to the current call.
class FirstError {
 public:
  void clear() {
    const std::lock_guard lock(mutex_);
    line_.clear();
  }
  void add(const std::string &line) {
    const std::lock_guard lock(mutex_);
    if (line_.empty()) line_ = line;
  }
  // To append to a sentence.
  std::string cause() {
    const std::lock_guard lock(mutex_);
    return line_.empty() ? "" : ": " + line_;
  }

 private:
  std::mutex mutex_;
  std::string line_;
} first_error;

[[noreturn]] void throw_stopped() { throw Error(SE_CANCELLED, "the call was cancelled"); }

std::string mebibytes(uint64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

void check_memory(uint64_t bytes, const char *what, const char *hint) {
  const uint64_t available = free_memory != nullptr ? (*free_memory)() : 0;
  if (available == 0 || bytes <= available) return;
  throw Error(SE_OOM_RAM,
              std::string(what) + " takes " + mebibytes(bytes) + " and " + mebibytes(available) + " are free", hint);
}

constexpr const char *kSmaller = "ask for a smaller image, or for vae_tiling";

// Replacements of ggml's and stable-diffusion.cpp's functions, see below.
bool reserve(ggml_gallocr_t allocator, ggml_cgraph *graph);
ggml_backend_buffer_t allocate_weights(ggml_context *context, ggml_backend_t backend);
ggml_status compute(ggml_backend_t backend, ggml_cgraph *graph);
void report_step(int step, int steps, float seconds);

[[noreturn]] void fail_assertion(const char *claim) {
  throw Error(SE_MODEL_CORRUPT, std::string("the model contradicts itself: `") + claim + "` does not hold");
}

}  // namespace
}  // namespace se

#undef GGML_ASSERT
#define GGML_ASSERT(claim)                    \
  do {                                        \
    if (!(claim)) se::fail_assertion(#claim); \
  } while (false)
#define ggml_gallocr_reserve se::reserve
#define ggml_backend_alloc_ctx_tensors se::allocate_weights
#define ggml_backend_graph_compute se::compute
#define ggml_log_set(...)
// Tiles of the VAE report their progress through the same function as steps do; they are in this header.
#include "ggml_extend.hpp"
#define pretty_progress se::report_step
#include "stable-diffusion.cpp"
#undef ggml_gallocr_reserve
#undef ggml_backend_alloc_ctx_tensors
#undef ggml_backend_graph_compute

namespace se {
namespace fs = std::filesystem;
namespace {

bool reserve(ggml_gallocr_t allocator, ggml_cgraph *graph) {
  size_t bytes = 0;
  ggml_gallocr_reserve_n_size(allocator, graph, nullptr, nullptr, &bytes);
  check_memory(bytes, "the next step of the image", kSmaller);
  if (!ggml_gallocr_reserve(allocator, graph)) {
    throw Error(SE_OOM_RAM, "no memory for the next step of the image: " + mebibytes(bytes), kSmaller);
  }
  return true;
}

ggml_backend_buffer_t allocate_weights(ggml_context *context, ggml_backend_t backend) {
  const ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
  if (buffer == nullptr && ggml_get_first_tensor(context) != nullptr) {
    throw Error(SE_OOM_RAM, "no memory for the model's weights", "close other programs or take a smaller model");
  }
  return buffer;
}

// Rows are looked up on ggml's threads, where a wrong index ends the process: a vocabulary larger than the text
// encoder's table would do that.
void check_rows(ggml_cgraph *graph) {
  for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
    const ggml_tensor *node = ggml_graph_node(graph, i);
    if (node->op != GGML_OP_GET_ROWS || node->src[1]->op != GGML_OP_NONE || node->src[1]->data == nullptr) continue;
    const auto *rows = static_cast<const int32_t *>(node->src[1]->data);
    for (int64_t j = 0; j < ggml_nelements(node->src[1]); ++j) {
      if (rows[j] >= 0 && rows[j] < node->src[0]->ne[1]) continue;
      throw Error(SE_MODEL_CORRUPT, "the text encoder has no token " + ticked(std::to_string(rows[j])),
                  "package the model with its own text encoder");
    }
  }
}

ggml_status compute(ggml_backend_t backend, ggml_cgraph *graph) {
  check_rows(graph);
  if (hooks != nullptr && ggml_backend_is_cpu(backend)) {
    const ggml_abort_callback stopped = [](void *data) {
      return static_cast<const GenerationHooks *>(data)->stopped();
    };
    ggml_backend_cpu_set_abort_callback(backend, stopped, const_cast<GenerationHooks *>(hooks));
  }
  const ggml_status status = ggml_backend_graph_compute(backend, graph);
  if (hooks != nullptr && hooks->stopped()) throw_stopped();
  if (status == GGML_STATUS_ALLOC_FAILED) throw Error(SE_OOM_RAM, "no memory for a step of the image", kSmaller);
  if (status != GGML_STATUS_SUCCESS) throw Error(SE_INTERNAL, "a step of the image could not be computed");
  return status;
}

void report_step(int step, int steps, float) {
  if (hooks == nullptr) return;
  if (hooks->stopped()) throw_stopped();
  if (step > 0) hooks->on_step(static_cast<uint32_t>(step), static_cast<uint32_t>(steps));
}

// The library's callbacks, its log and its random numbers are global: only one model is loaded or runs at a time.
std::timed_mutex engine_mutex;

std::unique_lock<std::timed_mutex> lock_engine(const std::function<bool()> &stopped) {
  std::unique_lock lock(engine_mutex, std::defer_lock);
  while (!lock.try_lock_for(std::chrono::milliseconds(20))) {
    if (stopped && stopped()) throw_stopped();
  }
  return lock;
}

void take_log(sd_log_level_t level, const char *text, void *) {
  std::string line = text;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  // The message follows the place in the source.
  const size_t dash = line.find(" - ");
  if (level == SD_LOG_ERROR) first_error.add(dash == std::string::npos ? line : line.substr(dash + 3));
  const se_log_level levels[] = {SE_LOG_DEBUG, SE_LOG_INFO, SE_LOG_WARNING, SE_LOG_ERROR};
  log(levels[std::min<int>(level, 3)], line);
}

Image copy_of(const sd_image_t &image) {
  return {image.width,
          image.height,
          image.channel,
          {image.data, image.data + size_t{image.width} * image.height * image.channel}};
}

void take_preview(int, int count, sd_image_t *images, bool, void *) {
  if (hooks == nullptr || count < 1) return;
  hooks->on_preview(copy_of(images[0]));
}

// While it lives, the engine works for this thread: log, progress and memory checks go to the current call.
class EngineScope {
 public:
  EngineScope(const GenerationHooks *current, const std::function<uint64_t()> &memory) {
    hooks = current;
    free_memory = &memory;
    first_error.clear();
    sd_set_log_callback(take_log, nullptr);
    // Without a callback it writes to standard output.
    sd_set_progress_callback([](int, int, float, void *) {}, nullptr);
  }
  ~EngineScope() {
    hooks = nullptr;
    free_memory = nullptr;
  }
  EngineScope(const EngineScope &) = delete;
  EngineScope &operator=(const EngineScope &) = delete;

 private:
  const EngineErrors errors_;
};

// Runs `call` and turns exceptions of the libraries below into Error; Errors pass through.
template <typename Call>
void translate(const std::string &what, Call &&call) {
  try {
    call();
  } catch (const Error &) {
    throw;
  } catch (const std::bad_alloc &) {
    throw Error(SE_OOM_RAM, what + ": not enough memory", kSmaller);
  } catch (const std::exception &error) {
    // ggml's assertions, see EngineErrors, and sd::Tensor's.
    throw Error(SE_MODEL_CORRUPT, what + ": " + error.what(), "package the model again");
  }
}

sd_image_t image_of(const ImageView &view, uint32_t channels) {
  return {view.width, view.height, channels, const_cast<uint8_t *>(view.pixels)};
}

// What of a LoRA matches no tensor would be ignored silently, and one of another width would fail an assertion.
void check_fits(StableDiffusionGGML &sd, const LoraFile &lora, const std::string &family) {
  ModelLoader loader;
  const std::string path = lora.path.string();
  if (!loader.init_from_file_and_convert_name(path, "lora.", sd.version)) {
    throw Error(SE_MODEL_CORRUPT, "stable-diffusion.cpp cannot read " + ticked(path) + first_error.cause());
  }
  const auto refuse = [&](const std::string &why) {
    throw Error(SE_FORMAT_MISMATCH,
                "the LoRA " + ticked(path) + " is not for the family " + ticked(family) + ": " + why,
                "take one that was made for this model");
  };
  size_t all = 0, fitting = 0;
  std::string strange;
  for (const auto &[name, tensor] : loader.get_tensor_storage_map()) {
    const size_t begin = std::string("lora.").size();
    const size_t end = name.find(".weight.");
    if (name.size() <= begin || end == std::string::npos || end < begin) continue;
    ++all;
    const auto found = sd.tensors.find(name.substr(begin, end - begin) + ".weight");
    if (found == sd.tensors.end()) {
      strange = name.substr(begin);
      continue;
    }
    ++fitting;
    const ggml_tensor &weight = *found->second;
    const bool is_input = name.ends_with(".lora_down") && tensor.n_dims == 2 && ggml_n_dims(&weight) == 2;
    if (is_input && tensor.ne[0] != weight.ne[0]) refuse(ticked(name.substr(begin)) + " has another width");
  }
  if (fitting == 0) refuse("none of its tensors belongs to a tensor of the model");
  // stable-diffusion.cpp would use the others alone.
  if (fitting < all) {
    refuse(ticked(all - fitting) + " of its " + ticked(all) + " tensors belong to none of the model, such as " +
           ticked(strange));
  }
}

struct Results {
  sd_image_t *images;
  uint32_t count;
  ~Results() {
    if (images == nullptr) return;
    for (uint32_t i = 0; i < count; ++i) std::free(images[i].data);
    std::free(images);
  }
};

}  // namespace

struct DiffusionModel::Engine {
  std::unique_ptr<StableDiffusionGGML> sd = std::make_unique<StableDiffusionGGML>();
};

DiffusionModel::DiffusionModel(const fs::path &file, const std::map<std::string, fs::path> &tokenizer_files,
                               int threads, const std::function<uint64_t()> &memory_available)
    : engine_(std::make_unique<Engine>()) {
  const auto lock = lock_engine(nullptr);
  const EngineScope scope(nullptr, memory_available);
  facts_ = inspect_diffusion(file);
  const TokenizerFiles for_this_thread(tokenizer_files);
  check_memory(facts_.tensor_bytes, "the model", "close other programs or take a smaller model");
  sd_ctx_params_t parameters;
  sd_ctx_params_init(&parameters);
  const std::string path = file.string();
  parameters.model_path = path.c_str();
  parameters.vae_decode_only = !facts_.has_encoder;
  parameters.free_params_immediately = false;
  parameters.n_threads = threads;
  // Applied to the weights, a LoRA could not be taken off them again without leaving a trace.
  parameters.lora_apply_mode = LORA_APPLY_AT_RUNTIME;
  parameters.enable_mmap = true;
  const std::string failure = "stable-diffusion.cpp cannot load " + ticked(path);
  translate(failure, [&] {
    if (!engine_->sd->init(&parameters)) {
      throw Error(SE_MODEL_CORRUPT, failure + first_error.cause(), "package the model again");
    }
  });
}

DiffusionModel::~DiffusionModel() = default;

uint64_t DiffusionModel::weights_bytes() const {
  const StableDiffusionGGML &sd = *engine_->sd;
  return sd.cond_stage_model->get_params_buffer_size() + sd.diffusion_model->get_params_buffer_size() +
         sd.first_stage_model->get_params_buffer_size();
}

bool DiffusionModel::knows_sampler(const std::string &name) {
  return str_to_sample_method(name.c_str()) != SAMPLE_METHOD_COUNT;
}

bool DiffusionModel::knows_schedule(const std::string &name) {
  return str_to_scheduler(name.c_str()) != SCHEDULER_COUNT;
}

std::vector<Image> DiffusionModel::generate(const ImageRequest &request, const GenerationHooks &current) {
  const auto lock = lock_engine(current.stopped);
  const EngineScope scope(&current, current.memory_available);
  sd_img_gen_params_t parameters;
  sd_img_gen_params_init(&parameters);
  parameters.prompt = request.prompt.c_str();
  parameters.negative_prompt = request.negative_prompt.c_str();
  parameters.width = static_cast<int>(request.width);
  parameters.height = static_cast<int>(request.height);
  parameters.sample_params.sample_steps = static_cast<int>(request.steps);
  parameters.sample_params.sample_method =
      request.sampler.empty() ? SAMPLE_METHOD_COUNT : str_to_sample_method(request.sampler.c_str());
  parameters.sample_params.scheduler =
      request.schedule.empty() ? SCHEDULER_COUNT : str_to_scheduler(request.schedule.c_str());
  parameters.sample_params.guidance.txt_cfg = request.cfg_scale;
  parameters.sample_params.guidance.distilled_guidance = request.guidance;
  if (request.flow_shift > 0) parameters.sample_params.flow_shift = request.flow_shift;
  parameters.strength = request.strength;
  parameters.seed = request.seed;
  parameters.batch_count = static_cast<int>(request.batch);
  parameters.vae_tiling_params.enabled = request.vae_tiling;
  if (request.init.pixels != nullptr) parameters.init_image = image_of(request.init, 3);
  if (request.mask.pixels != nullptr) parameters.mask_image = image_of(request.mask, 1);
  std::vector<std::string> paths;
  std::vector<sd_lora_t> loras;
  for (const LoraFile &lora : request.loras) {
    check_fits(*engine_->sd, lora, facts_.family);
    paths.push_back(lora.path.string());
  }
  for (size_t i = 0; i < paths.size(); ++i) loras.push_back({false, request.loras[i].strength, paths[i].c_str()});
  parameters.loras = loras.data();
  parameters.lora_count = static_cast<uint32_t>(loras.size());
  sd_set_preview_callback(request.preview ? take_preview : nullptr, request.preview ? PREVIEW_PROJ : PREVIEW_NONE, 1,
                          true, false, nullptr);

  sd_ctx_t context{engine_->sd.get()};
  Results results{nullptr, request.batch};
  try {
    translate("the image cannot be generated", [&] { results.images = generate_image(&context, &parameters); });
  } catch (...) {
    // The exception left working memory behind.
    engine_->sd->diffusion_model->free_compute_buffer();
    engine_->sd->first_stage_model->free_compute_buffer();
    throw;
  }
  if (results.images == nullptr) {
    throw Error(SE_INTERNAL, "stable-diffusion.cpp generates no image" + first_error.cause());
  }
  std::vector<Image> images;
  for (const sd_image_t &image : std::span(results.images, request.batch)) {
    if (image.data == nullptr) throw Error(SE_OOM_RAM, "no memory for the finished image", kSmaller);
    images.push_back(copy_of(image));
  }
  return images;
}

}  // namespace se
