// Calls mtmd with checked arguments. What it would end the process for becomes an exception, see base/log.h.
#include "engines/mtmd_encoder.h"

#include <clip.h>

#include <algorithm>
#include <utility>

#include "base/cpu.h"
#include "base/log.h"
#include "base/status.h"
#include "engines/gguf_engine.h"
#include "formats/image_encoder_file.h"

namespace se {
namespace {

// Each look at the interrupt ends the threads of a computation, so there are as many operations between two looks as
// take about this time.
constexpr double kLeastSeconds = 0.02;
constexpr double kMostSeconds = 0.1;
constexpr uint32_t kMostNodes = 1 << 12;
constexpr const char *kAgain = "convert or download the mmproj file again";
constexpr const char *kOneModel = "give the mmproj file that belongs to the model";

void adopt_encoder_logs() {
  adopt_engine_logs();
  static const bool once = [] {
    mtmd_log_set(take_engine_log, nullptr);
    return true;
  }();
  static_cast<void>(once);
}

// Their pieces depend on what stands before them in the prompt.
void refuse_unknown_layout(const std::string &projector) {
  if (projector != "deepseek4v" && projector != "hunyuanvl") return;
  throw Error(SE_UNSUPPORTED, "images cannot be shown to models with the projector " + ticked(projector));
}

GgufHeader checked_header(const std::filesystem::path &path) {
  const GgufHeader header = read_gguf(path);
  check_image_encoder(header, path);
  refuse_unknown_layout(image_projector(header));
  return header;
}

// See fail_without_memory in vision_checks.cpp.
void check_for_memory(const std::string &cause, bool is_on_gpu) {
  if (cause.find("not enough memory") == std::string::npos) return;
  if (is_on_gpu) {
    throw Error(SE_OOM_VRAM, "there is not enough memory on the GPU for the image encoder",
                "use a smaller quantization, or open with the backend cpu");
  }
  throw Error(SE_OOM_RAM, "there is not enough memory for the image encoder",
              "use a smaller quantization or close other programs");
}

[[noreturn]] void fail_to_load(const std::filesystem::path &path, const std::string &cause, bool is_on_gpu = false) {
  if (cause.find("mismatch between text model") != std::string::npos) {
    throw Error(SE_FORMAT_MISMATCH, ticked(path.string()) + " encodes images for a text model of another width",
                kOneModel);
  }
  check_for_memory(cause, is_on_gpu);
  throw Error(SE_MODEL_CORRUPT, "cannot load " + ticked(path.string()) + ": " + cause, kAgain);
}

}  // namespace

// Keeps all pieces of its image alive.
struct MtmdEncoder::Part : ImagePart {
  Part(std::shared_ptr<mtmd_input_chunks> all, const mtmd_input_chunk *one) : chunks(std::move(all)), chunk(one) {}

  std::shared_ptr<mtmd_input_chunks> chunks;
  const mtmd_input_chunk *chunk;
};

MtmdEncoder::MtmdEncoder(const std::filesystem::path &path, std::shared_ptr<const llama_model> model,
                         ggml_backend_dev_t gpu, int threads)
    : model_(std::move(model)), context_(nullptr, mtmd_free), is_on_gpu_(gpu != nullptr) {
  adopt_encoder_logs();
  const GgufHeader header = checked_header(path);
  const uint64_t available = memory_available_bytes();
  if (gpu == nullptr && available != 0 && header.tensor_bytes > available) {
    throw Error(
        SE_OOM_RAM,
        "the image encoder needs " + ticked(header.tensor_bytes) + " bytes and " + ticked(available) + " are free",
        "use a smaller quantization or close other programs");
  }
  mtmd_context_params parameters = mtmd_context_params_default();
  parameters.use_gpu = gpu != nullptr;
  parameters.device = gpu;
  parameters.print_timings = false;
  parameters.n_threads = threads;
  parameters.cb_eval = evaluated;
  parameters.cb_eval_user_data = this;
  const EngineErrors errors;
  context_.reset(mtmd_init_from_file(path.c_str(), model_.get(), parameters));
  if (!context_) fail_to_load(path, errors.first(), is_on_gpu_);
  if (!mtmd_support_vision(context_.get())) fail_to_load(path, "it encodes no images");
}

bool MtmdEncoder::evaluated(ggml_tensor *, bool asks, void *self) {
  auto &encoder = *static_cast<MtmdEncoder *>(self);
  const bool is_stopped = encoder.interrupt_ != nullptr && encoder.interrupt_->raised();
  if (asks) return is_stopped || ++encoder.nodes_ >= encoder.nodes_at_once_;
  const double seconds = seconds_since(encoder.looked_);
  if (seconds < kLeastSeconds) encoder.nodes_at_once_ = std::min(2 * encoder.nodes_at_once_, kMostNodes);
  if (seconds > kMostSeconds) encoder.nodes_at_once_ = std::max(encoder.nodes_at_once_ / 2, 1U);
  encoder.nodes_ = 0;
  encoder.looked_ = Clock::now();
  return !is_stopped;
}

std::vector<ImagePiece> MtmdEncoder::divide(const ChatImage &image) {
  const EngineErrors errors;
  const std::unique_ptr<mtmd_bitmap, decltype(&mtmd_bitmap_free)> bitmap(
      mtmd_bitmap_init(image.width, image.height, image.pixels.data()), mtmd_bitmap_free);
  const std::shared_ptr<mtmd_input_chunks> chunks(mtmd_input_chunks_init(), mtmd_input_chunks_free);
  const mtmd_input_part part = {nullptr, bitmap.get()};
  const mtmd_input_part *parts[] = {&part};
  if (mtmd_tokenize_from_parts(context_.get(), chunks.get(), parts, 1, false) != 0) {
    throw Error(SE_INVALID_ARGUMENT, "the model cannot be shown an image of " + std::to_string(image.width) + "x" +
                                         std::to_string(image.height) + " pixels: " + errors.first());
  }
  std::vector<ImagePiece> pieces;
  for (size_t i = 0; i < mtmd_input_chunks_size(chunks.get()); ++i) {
    const mtmd_input_chunk *chunk = mtmd_input_chunks_get(chunks.get(), i);
    ImagePiece &piece = pieces.emplace_back();
    piece.token_count = static_cast<uint32_t>(mtmd_input_chunk_get_n_tokens(chunk));
    if (mtmd_input_chunk_get_type(chunk) == MTMD_INPUT_CHUNK_TYPE_TEXT) {
      size_t count = 0;
      const llama_token *tokens = mtmd_input_chunk_get_tokens_text(chunk, &count);
      piece.tokens.assign(tokens, tokens + count);
    } else {
      piece.part = std::make_shared<Part>(chunks, chunk);
    }
  }
  return pieces;
}

ImageEmbeddings MtmdEncoder::encode(const ImagePart &part, const Interrupt &interrupt) {
  interrupt.check();
  const mtmd_input_chunk *chunk = static_cast<const Part &>(part).chunk;
  const EngineErrors errors;
  interrupt_ = &interrupt;
  looked_ = Clock::now();
  nodes_ = 0;
  // Exceptions of vision_steps.h, about what this image is the first to use of the file, end in it, in the log.
  const int32_t status = mtmd_encode_chunk(context_.get(), chunk);
  interrupt_ = nullptr;
  // A stopped computation is reported as a finished one.
  interrupt.check();
  if (status != 0) {
    check_for_memory(errors.first(), is_on_gpu_);
    throw Error(SE_MODEL_CORRUPT, "the image encoder cannot be used: " + errors.first(), kAgain);
  }
  ImageEmbeddings made;
  made.token_count = static_cast<uint32_t>(mtmd_input_chunk_get_n_tokens(chunk));
  made.position_count = static_cast<uint32_t>(mtmd_input_chunk_get_n_pos(chunk));
  made.sees_all = mtmd_decode_use_non_causal(context_.get(), chunk);
  const float *vectors = mtmd_get_output_embd(context_.get());
  const auto width = static_cast<size_t>(llama_model_n_embd_inp(model_.get()));
  made.vectors.assign(vectors, vectors + width * made.token_count);
  if (!mtmd_decode_use_mrope(context_.get())) return made;
  made.position_axes = 4;
  const mtmd_image_tokens *tokens = mtmd_input_chunk_get_tokens_image(chunk);
  for (size_t i = 0; i < made.token_count; ++i) {
    const mtmd_decoder_pos at = mtmd_image_tokens_get_decoder_pos(tokens, 0, i);
    // In the order of the decoder's axes.
    for (const uint32_t axis : {at.t, at.y, at.x, at.z}) made.positions.push_back(static_cast<int32_t>(axis));
  }
  return made;
}

ImageEncoderFacts image_encoder_facts(const std::filesystem::path &path) {
  adopt_encoder_logs();
  const GgufHeader header = checked_header(path);
  clip_context_params parameters{};
  parameters.flash_attn_type = CLIP_FLASH_ATTN_TYPE_AUTO;
  parameters.warmup = true;
  parameters.no_alloc = true;
  const EngineErrors errors;
  clip_init_result made{};
  try {
    made = clip_init(path.c_str(), parameters);
  } catch (const std::exception &error) {
    fail_to_load(path, error.what());
  }
  const std::unique_ptr<clip_ctx, decltype(&clip_free)> vision(made.ctx_v, clip_free);
  const std::unique_ptr<clip_ctx, decltype(&clip_free)> audio(made.ctx_a, clip_free);
  if (!vision) fail_to_load(path, errors.first());
  ImageEncoderFacts facts{image_projector(header), static_cast<uint32_t>(clip_n_mmproj_embd(vision.get())),
                          header.tensor_bytes, 0};
  uint64_t needed = 0;
  for (const auto &[device, bytes] : clip_get_mem_usage(vision.get())) needed += bytes;
  facts.workspace_bytes = needed - std::min(needed, facts.weights_bytes);
  return facts;
}

}  // namespace se
