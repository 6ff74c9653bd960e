// Runs llama.cpp: loading, batches, thread pool, abort, KV cache.
#include "engines/llama_engine.h"

#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <llama-cpp.h>
#include <llama-ext.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/log.h"
#include "base/status.h"
#include "engines/ggml_cpu.h"
#include "engines/ggml_device.h"
#include "engines/gguf_engine.h"
#include "engines/llama_state.h"
#include "engines/mtmd_encoder.h"
#include "formats/gguf.h"

namespace se {
namespace {

constexpr uint32_t kBatchTokens = 512;
// Logits of a whole vocabulary for each of these at once: 64 x 150,000 floats are 38 MB.
constexpr uint32_t kScoreTokens = 64;
// An encoder looks at a whole text at once, and some models at a whole image.
constexpr uint32_t kMostEncoderTokens = 2048;
constexpr uint32_t kMostImageTokens = 2048;
constexpr uint32_t kDefaultContext = 4096;

// KV cache in f16 for plain attention; an upper bound for windows and a rough guess for recurrent models.
uint64_t estimated_cache_bytes(const GgufHeader &header, uint64_t context) {
  const uint64_t layers = header.hyperparameter("block_count").value_or(0);
  const uint64_t width = header.hyperparameter("embedding_length").value_or(0);
  const uint64_t heads = std::max<uint64_t>(1, header.hyperparameter("attention.head_count").value_or(1));
  const uint64_t kv_heads = header.hyperparameter("attention.head_count_kv").value_or(heads);
  const uint64_t head = header.hyperparameter("attention.key_length").value_or(width / heads);
  return layers * kv_heads * head * 2 * 2 * context;
}

// `gpu` null: the memory of this machine.
void check_memory(const GgufHeader &header, uint64_t context, ggml_backend_dev_t gpu) {
  uint64_t available = memory_available_bytes();
  if (gpu != nullptr) {
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(gpu, &free, &total);
    available = free;
  }
  const uint64_t cache = estimated_cache_bytes(header, context);
  if (available == 0 || header.tensor_bytes + cache <= available) return;
  const std::string where = gpu == nullptr ? "" : " on the GPU " + ticked(ggml_backend_dev_description(gpu));
  throw Error(gpu == nullptr ? SE_OOM_RAM : SE_OOM_VRAM,
              "the model needs about " + ticked(header.tensor_bytes + cache) + " bytes (weights " +
                  ticked(header.tensor_bytes) + ", KV cache " + ticked(cache) + ") and " + ticked(available) +
                  " are free" + where,
              "open with a shorter context, use a smaller quantization or close other programs");
}

// Of the calling thread, which leads the graphs that it computes.
double worked_seconds() { return thread_cpu_seconds() - static_cast<double>(se_ggml_spun_ns()) * 1e-9; }

}  // namespace

LlamaEngine::LlamaEngine(const std::filesystem::path &path, const EngineOptions &options)
    : gpu_(options.backend == "cpu" ? nullptr : ggml_gpu(options.backend)),
      thread_count_(options.threads),
      adapts_threads_(options.adapts_threads && gpu_ == nullptr),
      threads_(nullptr, ggml_threadpool_free),
      context_(nullptr, llama_free) {
  adopt_engine_logs();
  llama_backend_init();
  const GgufHeader header = read_gguf(path);
  check_gguf_model(header, path);
  check_gguf_vocabulary(header, path);
  const uint64_t own_context = *header.hyperparameter("context_length");
  const auto context = options.context_tokens != 0
                           ? options.context_tokens
                           : static_cast<uint32_t>(std::min<uint64_t>(kDefaultContext, own_context));
  if (context > own_context) {
    log(SE_LOG_WARNING, "the context of " + ticked(context) + " tokens is longer than the " + ticked(own_context) +
                            " that the model was trained on");
  }
  check_memory(header, uint64_t{context} * options.sequences, gpu_);
  load(path, header);
  if (!options.mmproj.empty()) {
    image_encoder_ = std::make_unique<MtmdEncoder>(options.mmproj, model_, gpu_, options.threads);
  }
  uint32_t batch_tokens = kBatchTokens;
  if (image_encoder_ && image_encoder_->sees_all())
    batch_tokens = std::max(kBatchTokens, std::min(context, kMostImageTokens));
  create_context(context, options, batch_tokens);
  const bool is_encoder = llama_get_memory(context_.get()) == nullptr;
  if (is_encoder && context > batch_tokens) {
    batch_tokens = std::min(context, kMostEncoderTokens);
    create_context(context, options, batch_tokens);
  }
  batch_tokens_ = batch_tokens;
  images_.resize(options.sequences);
  batch_ = llama_batch_init(static_cast<int32_t>(batch_tokens), 0, 1);
  start_threads(options.threads);
  facts_ = {"llama",
            options.backend,
            header.architecture,
            header.commonest_type,
            static_cast<uint32_t>(llama_vocab_n_tokens(llama_model_get_vocab(model_.get()))),
            context,
            options.threads,
            llama_model_size(model_.get()),
            0};
  if (image_encoder_) facts_.weights_bytes += read_gguf(options.mmproj).tensor_bytes;
  facts_.sequences = options.sequences;
  facts_.generates = !is_encoder;
  facts_.goes_back = !llama_model_is_recurrent(model_.get()) && !llama_model_is_hybrid(model_.get());
  facts_.embed_tokens = is_encoder ? std::min(context, batch_tokens) : context;
  describe_embeddings(header);
  if (gpu_ != nullptr) facts_.device = ggml_backend_dev_description(gpu_);
  for (const auto &[buffer, use] : llama_get_memory_breakdown(context_.get())) facts_.kv_cache_bytes += use.context;
}

void LlamaEngine::describe_embeddings(const GgufHeader &header) {
  facts_.embedding_size = static_cast<uint32_t>(llama_model_n_embd_out(model_.get()));
  // The numbers of llama.cpp's enum llama_pooling_type.
  switch (header.hyperparameter("pooling_type").value_or(0)) {
    case LLAMA_POOLING_TYPE_MEAN:
      facts_.pooling = "mean";
      break;
    case LLAMA_POOLING_TYPE_CLS:
      facts_.pooling = "cls";
      break;
    case LLAMA_POOLING_TYPE_LAST:
      facts_.pooling = "last";
      break;
    case LLAMA_POOLING_TYPE_RANK:
      // It judges pairs of texts by a head of its own.
      facts_.embedding_size = 0;
      break;
    default:
      break;
  }
}

LlamaEngine::~LlamaEngine() { llama_batch_free(batch_); }

void LlamaEngine::load(const std::filesystem::path &path, const GgufHeader &header) {
  const EngineErrors errors;
  llama_model_params parameters = llama_model_default_params();
  // llama.cpp's own choice would be every GPU that it finds.
  ggml_backend_dev_t devices[] = {gpu_, nullptr};
  parameters.devices = devices;
  parameters.n_gpu_layers = gpu_ == nullptr ? 0 : -1;
  // We pool embeddings ourselves, as the caller wants it; to ask the context for that would be warned about.
  llama_model_kv_override overrides[2] = {};
  if (const std::string key = header.architecture + ".pooling_type";
      header.count(key) && key.size() < sizeof(overrides[0].key)) {
    overrides[0].tag = LLAMA_KV_OVERRIDE_TYPE_INT;
    key.copy(overrides[0].key, key.size());
    overrides[0].val_i64 = LLAMA_POOLING_TYPE_NONE;
    parameters.kv_overrides = overrides;
  }
  model_.reset(llama_model_load_from_file(path.c_str(), parameters), llama_model_free);
  if (!model_ && gpu_ != nullptr) {
    const bool is_memory = errors.first().find("allocate") != std::string::npos;
    throw Error(is_memory ? SE_OOM_VRAM : SE_LOAD_FAILED,
                "the GPU " + ticked(ggml_backend_dev_description(gpu_)) + " cannot load " + ticked(path.string()) +
                    ": " + errors.first(),
                "open with the backend cpu");
  }
  if (!model_) {
    throw Error(SE_MODEL_CORRUPT, "cannot load " + ticked(path.string()) + ": " + errors.first(),
                "convert or download the model again");
  }
  if (llama_model_has_encoder(model_.get()) || !llama_model_has_decoder(model_.get())) {
    throw Error(SE_UNSUPPORTED, ticked(path.string()) + " is not a decoder-only language model");
  }
}

void LlamaEngine::create_context(uint32_t context_tokens, const EngineOptions &options, uint32_t batch_tokens) {
  llama_context_params parameters = llama_context_default_params();
  // Each sequence has a stream of its own of this many cells, so that none is masked by the cells of the others.
  require(uint64_t{context_tokens} * options.sequences <= INT32_MAX,
          ticked(options.sequences) + " sequences of " + ticked(context_tokens) + " tokens are too many",
          "open with fewer sequences or a shorter context");
  parameters.n_ctx = context_tokens * options.sequences;
  parameters.n_seq_max = options.sequences;
  parameters.n_batch = batch_tokens;
  parameters.n_ubatch = batch_tokens;
  parameters.n_threads = options.threads;
  parameters.n_threads_batch = options.threads;
  parameters.no_perf = true;
  // A sliding window that has moved on cannot be rewound; the full cache can, and the next message needs that.
  parameters.swa_full = true;
  parameters.abort_callback = [](void *self) {
    const Interrupt *interrupt = static_cast<LlamaEngine *>(self)->interrupt_;
    return interrupt != nullptr && interrupt->raised();
  };
  parameters.abort_callback_data = this;
  const EngineErrors errors;
  context_.reset(llama_init_from_model(model_.get(), parameters));
  if (!context_) {
    throw Error(gpu_ == nullptr ? SE_OOM_RAM : SE_OOM_VRAM,
                "cannot create " + ticked(options.sequences) + " contexts of " + ticked(context_tokens) +
                    " tokens: " + errors.first(),
                "open with a shorter context or fewer sequences");
  }
}

void LlamaEngine::start_threads(int threads) {
  ggml_threadpool_params pool = ggml_threadpool_params_default(threads);
  // Between two steps they sleep: by default each would keep a core for 0.1 s, from those who choose the next token.
  pool.poll = 0;
  threads_.reset(ggml_threadpool_new(&pool));
  if (!threads_) throw Error(SE_OOM_RAM, "cannot start " + ticked(static_cast<uint64_t>(threads)) + " threads");
  llama_attach_threadpool(context_.get(), threads_.get(), threads_.get());
}

void LlamaEngine::add(const Step &step, bool with_logits) {
  const int32_t i = batch_.n_tokens++;
  batch_.token[i] = step.token;
  batch_.pos[i] = model_position(step.sequence, step.position);
  batch_.n_seq_id[i] = 1;
  batch_.seq_id[i][0] = static_cast<llama_seq_id>(step.sequence);
  batch_.logits[i] = with_logits ? 1 : 0;
}

void LlamaEngine::add(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position, bool all_logits) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    add({sequence, tokens[i], position + static_cast<uint32_t>(i)}, all_logits || i + 1 == tokens.size());
  }
}

llama_pos LlamaEngine::model_position(uint32_t sequence, uint32_t position) const {
  uint32_t at = position;
  for (const Image &image : images_[sequence]) {
    if (image.begin < position) at -= image.tokens - image.positions;
  }
  return static_cast<llama_pos>(at);
}

void LlamaEngine::compute(const Interrupt &interrupt) {
  compute_by(interrupt, [this] { return llama_decode(context_.get(), batch_); });
}

template <typename Run>
void LlamaEngine::compute_by(const Interrupt &interrupt, Run &&run) {
  interrupt.check();
  interrupt_ = &interrupt;
  const EngineErrors errors;
  const auto begin = Clock::now();
  const double worked_begin = worked_seconds();
  const int32_t status = run();
  if (adapts_threads_ && thread_count_.took(seconds_since(begin), worked_seconds() - worked_begin)) {
    const int count = thread_count_.now();
    llama_set_n_threads(context_.get(), count, count);
    log(SE_LOG_INFO, "computing with " + ticked(static_cast<uint64_t>(count)) + " of " +
                         ticked(static_cast<uint64_t>(facts_.threads)) + " threads" +
                         (count < facts_.threads ? ", as other programs use the cores" : ""));
  }
  interrupt_ = nullptr;
  if (status == 0) return;
  if (status == 2) interrupt.check();
  if (status == 1) throw Error(SE_INTERNAL, "llama.cpp has no free KV cache cell");
  throw Error(SE_INTERNAL, "llama.cpp failed with " + ticked(std::to_string(status)) + ": " + errors.first());
}

std::span<const float> LlamaEngine::advance(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position,
                                            const Interrupt &interrupt) {
  while (!tokens.empty()) {
    const auto part = tokens.first(std::min<size_t>(tokens.size(), kBatchTokens));
    batch_.n_tokens = 0;
    add(sequence, part, position, false);
    compute(interrupt);
    position += static_cast<uint32_t>(part.size());
    tokens = tokens.subspan(part.size());
  }
  return {llama_get_logits_ith(context_.get(), -1), facts_.vocab_size};
}

void LlamaEngine::advance_image(uint32_t sequence, const ImageEmbeddings &image, uint32_t position,
                                const Interrupt &interrupt) {
  const llama_pos begin = model_position(sequence, position);
  const size_t width = image.vectors.size() / image.token_count;
  const uint32_t most = image.sees_all ? batch_tokens_ : kBatchTokens;
  if (image.sees_all && image.token_count > most) {
    throw Error(
        SE_UNSUPPORTED,
        "the image takes " + ticked(image.token_count) + " tokens at once, and " + ticked(most) + " can be computed",
        "give a smaller image");
  }
  llama_set_causal_attn(context_.get(), !image.sees_all);
  const auto causal_again = [](llama_context *context) { llama_set_causal_attn(context, true); };
  const std::unique_ptr<llama_context, decltype(causal_again)> after(context_.get(), causal_again);
  const llama_batch_ext_ptr batch(llama_batch_ext_init(context_.get()));
  for (uint32_t done = 0; done < image.token_count;) {
    llama_batch_ext_clear(batch.get());
    for (uint32_t added = 0; added < most && done < image.token_count; ++added, ++done) {
      const llama_embd row = {image.vectors.data() + done * width, 1, width};
      const int32_t index = llama_batch_ext_add_embd(batch.get(), static_cast<llama_seq_id>(sequence), row);
      if (index < 0) throw Error(SE_INTERNAL, "llama.cpp does not take an image's vectors");
      std::array<llama_pos, 4> at = {begin + static_cast<llama_pos>(done)};
      for (uint32_t axis = 0; !image.positions.empty() && axis < image.position_axes; ++axis) {
        at[axis] = begin + image.positions[done * image.position_axes + axis];
      }
      llama_batch_ext_set_pos(batch.get(), index, at.data());
    }
    compute_by(interrupt, [&] { return llama_process(context_.get(), LLAMA_PROCESS_TYPE_DECODE, batch.get()); });
  }
  images_[sequence].push_back({position, image.token_count, image.position_count});
}

std::span<const float> LlamaEngine::decode(std::span<const Step> steps, const Interrupt &interrupt) {
  rows_.clear();
  for (auto left = steps; !left.empty();) {
    const auto part = left.first(std::min<size_t>(left.size(), kBatchTokens));
    left = left.subspan(part.size());
    batch_.n_tokens = 0;
    for (const Step &step : part) add(step, true);
    compute(interrupt);
    const std::span<const float> rows(llama_get_logits(context_.get()), part.size() * facts_.vocab_size);
    if (part.size() == steps.size()) return rows;
    rows_.insert(rows_.end(), rows.begin(), rows.end());
  }
  return rows_;
}

std::span<const float> LlamaEngine::score(uint32_t sequence, std::span<const int32_t> tokens, uint32_t position,
                                          const Interrupt &interrupt) {
  batch_.n_tokens = 0;
  add(sequence, tokens, position, true);
  compute(interrupt);
  return {llama_get_logits(context_.get()), tokens.size() * facts_.vocab_size};
}

void LlamaEngine::embed(uint32_t sequence, std::span<const int32_t> tokens,
                        const std::function<void(std::span<const float>)> &receive, const Interrupt &interrupt) {
  // Logits of all these tokens are computed as well, so they are few at once.
  const size_t most = facts_.generates ? kScoreTokens : tokens.size();
  llama_set_embeddings(context_.get(), true);
  const auto logits_again = [](llama_context *context) { llama_set_embeddings(context, false); };
  const std::unique_ptr<llama_context, decltype(logits_again)> after(context_.get(), logits_again);
  for (size_t begin = 0; begin < tokens.size(); begin += most) {
    const auto part = tokens.subspan(begin, std::min(most, tokens.size() - begin));
    batch_.n_tokens = 0;
    add(sequence, part, static_cast<uint32_t>(begin), true);
    compute(interrupt);
    const float *rows = llama_get_embeddings(context_.get());
    if (rows == nullptr) throw Error(SE_INTERNAL, "llama.cpp computed no embeddings");
    receive({rows, part.size() * facts_.embedding_size});
  }
}

uint32_t LlamaEngine::score_tokens(uint32_t) const { return kScoreTokens; }

uint32_t LlamaEngine::rewind(uint32_t sequence, uint32_t position) {
  llama_memory_t memory = llama_get_memory(context_.get());
  const auto id = static_cast<llama_seq_id>(sequence);
  std::vector<Image> &images = images_[sequence];
  while (!images.empty() && images.back().begin + images.back().tokens > position) {
    position = std::min(position, images.back().begin);
    images.pop_back();
  }
  const llama_pos begin = model_position(sequence, position);
  if (llama_memory_seq_pos_max(memory, id) < begin) return position;
  // A restored window has no earlier tokens, which those before `position` may need.
  const llama_pos first = llama_memory_seq_pos_min(memory, id);
  const bool has_all = first <= 0 || first + llama_model_n_swa(model_.get()) <= begin;
  if (position > 0 && has_all && llama_memory_seq_rm(memory, id, begin, -1)) return position;
  // The whole of a sequence can always be removed.
  llama_memory_seq_rm(memory, id, -1, -1);
  images.clear();
  return 0;
}

std::vector<std::byte> LlamaEngine::state_of(uint32_t sequence) const {
  const auto id = static_cast<llama_seq_id>(sequence);
  std::vector<std::byte> state(llama_state_seq_get_size(context_.get(), id));
  auto *bytes = reinterpret_cast<uint8_t *>(state.data());
  const EngineErrors errors;
  if (state.empty() || llama_state_seq_get_data(context_.get(), bytes, state.size(), id) != state.size()) {
    throw Error(SE_INTERNAL, "llama.cpp cannot write a sequence's state: " + errors.first());
  }
  return state;
}

std::vector<std::byte> LlamaEngine::save(uint32_t sequence, uint32_t tokens, const Interrupt &) {
  return portable_state(state_of(sequence), tokens);
}

void LlamaEngine::restore(uint32_t sequence, std::span<const int32_t> tokens, std::span<const std::byte> state) {
  const auto id = static_cast<llama_seq_id>(sequence);
  llama_memory_seq_rm(llama_get_memory(context_.get()), id, -1, -1);
  images_[sequence].clear();
  const auto all = llama_state(state, static_cast<uint32_t>(tokens.size()), state_of(sequence));
  const EngineErrors errors;
  const auto *bytes = reinterpret_cast<const uint8_t *>(all.data());
  if (llama_state_seq_set_data(context_.get(), bytes, all.size(), id) == all.size()) return;
  llama_memory_seq_rm(llama_get_memory(context_.get()), id, -1, -1);
  throw Error(SE_MODEL_CORRUPT, "these are not the keys and values of this model: " + errors.first());
}

GgufEngine open_gguf_engine(const std::filesystem::path &path, const EngineOptions &options) {
  auto engine = std::make_unique<LlamaEngine>(path, options);
  auto vocabulary = engine->vocabulary();
  auto image_encoder = engine->take_image_encoder();
  return {std::move(engine), std::move(vocabulary), std::move(image_encoder)};
}

std::vector<std::string> gguf_backends() {
  std::vector<std::string> backends = {"cpu"};
  if (const std::string gpu = ggml_gpu_backend(); !gpu.empty()) backends.push_back(gpu);
  return backends;
}

}  // namespace se
