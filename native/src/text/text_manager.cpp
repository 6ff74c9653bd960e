// Opens models and runs calls on them: prefix reuse, the generation loop, chat, scoring.
#include "text/text_manager.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "engines/backend_order.h"
#include "engines/gguf_engine.h"
#include "formats/gguf.h"
#include "formats/gguf_sampling.h"
#include "formats/whisper_file.h"
#include "text/draft_model.h"
#include "text/embedding.h"
#include "text/logprobs.h"
#include "text/prefill.h"
#include "text/prompt_lookup.h"
#include "text/schema_grammar.h"
#include "text/text_pieces.h"
#include "tvm/tvm_engine.h"

namespace se {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMostChatImages = 64;
// As llama.cpp shows the place of one.
constexpr const char *kImageName = "<__media__>";
constexpr uint32_t kLongestSide = 1 << 14;
constexpr uint64_t kMostPixels = 1 << 26;
// A cancelled call that waits for the image encoder notices within this time.
constexpr auto kEncoderWait = std::chrono::milliseconds(20);

void refuse_other_files(const fs::path &path) {
  if (has_gguf_magic(path)) return;
  if (path.extension() == ".sphere") {
    throw Error(SE_FORMAT_MISMATCH, ticked(path.string()) + " is a packed bundle", "unzip it into a folder first");
  }
  if (has_whisper_magic(path)) {
    throw Error(SE_FORMAT_MISMATCH, ticked(path.string()) + " is a speech recognition model of whisper.cpp",
                "open it with the audio manager");
  }
  throw Error(SE_MODEL_CORRUPT, ticked(path.string()) + " is not a GGUF file: it does not begin with `GGUF`",
              "give a bundle folder or a .gguf file");
}

}  // namespace

TextManager::TextManager(Tokenizer tokenizer, std::unique_ptr<Engine> engine, std::optional<std::string> chat_template)
    : tokenizer_(std::move(tokenizer)),
      engine_(std::move(engine)),
      chat_format_(chat_template ? std::move(*chat_template) : tokenizer_.chat_template(), tokenizer_.bos_text(),
                   tokenizer_.eos_text()) {
  if (!engine_) return;
  scheduler_ = std::make_unique<Scheduler>(*engine_);
  sequences_ = std::make_unique<Sequences>(engine_->facts().sequences);
}

std::unique_ptr<TextManager> TextManager::open(const fs::path &path, EngineOptions options) {
  const auto begin = Clock::now();
  adopt_engine_logs();
  options.adapts_threads = options.threads == 0;
  options.threads = checked_threads(options.threads);
  require(options.context_tokens <= INT32_MAX, "context_tokens is out of range: " + ticked(options.context_tokens));
  options.sequences = std::max(options.sequences, 1U);
  require(options.sequences <= kMostSequences, "sequences is out of range: " + ticked(options.sequences),
          "at most " + ticked(kMostSequences));
  std::error_code error;
  if (!fs::exists(path, error)) throw Error(SE_NOT_FOUND, "no such file or folder: " + ticked(path.string()));
  std::unique_ptr<TextManager> text;
  if (fs::is_directory(path)) {
    text = open_bundle(path, std::move(options));
  } else {
    refuse_other_files(path);
    text = open_gguf(path, options, nullptr);
  }
  text->model_path_ = path;
  text->load_seconds_ = seconds_since(begin);
  return text;
}

std::unique_ptr<TextManager> TextManager::open_gguf(const fs::path &path, const EngineOptions &options,
                                                    const Bundle *bundle) {
  std::shared_ptr<const llama_vocab> vocabulary;
  std::unique_ptr<ImageEncoder> image_encoder;
  auto engine = open_on_first_backend(bundle, options.backend, [&](const std::string &backend) {
    EngineOptions on = options;
    on.backend = backend;
    GgufEngine made = open_gguf_engine(path, on);
    vocabulary = std::move(made.vocabulary);
    image_encoder = std::move(made.image_encoder);
    return std::move(made.engine);
  });
  const GgufHeader header = read_gguf(path);
  Tokenizer tokenizer(std::move(vocabulary), header);
  std::unique_ptr<TextManager> text(new TextManager(std::move(tokenizer), std::move(engine),
                                                    bundle != nullptr ? bundle->chat_template : std::nullopt));
  text->image_encoder_ = std::move(image_encoder);
  if (bundle == nullptr) text->sampling_ = gguf_sampling(header);
  return text;
}

std::unique_ptr<TextManager> TextManager::open_bundle(const fs::path &path, EngineOptions options) {
  const Bundle bundle = read_bundle_for(path, kTask, options.code_folder);
  if (options.context_tokens == 0) options.context_tokens = bundle.context_tokens;
  require(options.mmproj.empty(), "an mmproj file is given for a bundle",
          "a bundle has its own: sphere-edge package MODEL --mmproj FILE");
  if (bundle.engine == "llama" && bundle.has("mmproj")) options.mmproj = bundle.file("mmproj").path;
  std::unique_ptr<TextManager> text;
  if (bundle.engine == "llama") {
    text = open_gguf(bundle.file("model").path, options, &bundle);
  } else if (bundle.engine == "tvm") {
    Tokenizer tokenizer = Tokenizer::from_file(bundle.file("tokenizer").path);
    if (tokenizer.size() > bundle.vocab_size) {
      throw Error(SE_MODEL_CORRUPT, "the tokenizer has " + ticked(tokenizer.size()) + " tokens and the model " +
                                        ticked(bundle.vocab_size));
    }
    check_runs_here(bundle);
    text.reset(new TextManager(std::move(tokenizer), make_tvm_engine(bundle, options), bundle.chat_template));
  } else {
    throw bundle.other_engine();
  }
  text->sampling_ = bundle.sampling;
  text->bundle_id_ = bundle.id;
  return text;
}

std::unique_ptr<TextManager> TextManager::open_vocabulary(const fs::path &path) {
  return std::unique_ptr<TextManager>(new TextManager(Tokenizer::from_file(path), nullptr, std::nullopt));
}

Engine &TextManager::engine() const {
  if (!engine_) throw Error(SE_UNSUPPORTED, "only a vocabulary is open, not a model");
  return *engine_;
}

TextManager::Prepared TextManager::prepare(const TextRequest &request, const Interrupt &interrupt) const {
  if (const auto *tokens = std::get_if<std::span<const int32_t>>(&request.prompt)) {
    return {.tokens = {tokens->begin(), tokens->end()}};
  }
  if (const auto *text = std::get_if<std::string>(&request.prompt)) {
    return {.tokens = tokenizer_.tokenize(*text, true, true, {interrupt, facts().context_tokens})};
  }
  return prepare_chat(request, {interrupt, facts().context_tokens});
}

TextManager::Prepared TextManager::prepare_chat(const TextRequest &request, const TokenizeLimits &limits) const {
  const auto &messages = std::get<ChatMessages>(request.prompt);
  ChatRequest chat = ChatRequest::parse(messages.json);
  check_images(chat, messages.images);
  const bool has_grammar = request.json_schema || !request.sampling.grammar.text.empty();
  require(!has_grammar || (!chat.may_call_tools() && chat.json_schema.empty()),
          "a grammar is given together with tools or `response_format`", "give one of them");
  ChatPrompt prompt = chat_format_.prompt(chat, marks(), limits.interrupt);
  prompt.reasoning_budget = chat.reasoning_budget;
  // An answer that follows the caller's own grammar is in no format of the model's.
  if (has_grammar) prompt.parser = nullptr;
  Prepared prepared = with_images(prompt.text, messages.images, limits);
  prepared.chat = std::move(prompt);
  return prepared;
}

TextManager::Prepared TextManager::with_images(std::string_view prompt, std::span<const ChatImage> images,
                                               const TokenizeLimits &limits) const {
  Prepared prepared;
  std::set<size_t> shown;
  bool is_begin = true;
  for (const InputMarks::Piece &piece : InputMarks::pieces(prompt)) {
    const auto more =
        is_begin ? tokenizer_.tokenize_prompt(piece.text, limits) : tokenizer_.tokenize_after_image(piece.text, limits);
    prepared.tokens.insert(prepared.tokens.end(), more.begin(), more.end());
    is_begin = false;
    if (!piece.image) continue;
    // Templates are as hostile as all of a model: they may know the mark.
    if (*piece.image >= images.size() || !shown.insert(*piece.image).second) {
      throw Error(SE_UNSUPPORTED, "the model's chat template shows an image twice, or one that is not in the messages");
    }
    place(images[*piece.image], prepared, limits.interrupt);
  }
  if (shown.size() < images.size()) {
    log(SE_LOG_WARNING, "the model's chat template leaves out " + ticked(images.size() - shown.size()) + " images");
  }
  require(prepared.tokens.empty() || prepared.tokens.back() >= 0, "the prompt ends with an image",
          "the model's chat template has no text after it");
  return prepared;
}

void TextManager::check_images(const ChatRequest &chat, std::span<const ChatImage> images) const {
  if (chat.images > 0 && !image_encoder_) {
    throw Error(
        SE_UNSUPPORTED, "message " + ticked(chat.first_with_image) + " has an image, and this model reads text only",
        facts().engine == "llama" ? "package the model with its mmproj file: sphere-edge package MODEL --mmproj FILE"
                                  : "images are for GGUF models with an mmproj file");
  }
  require(chat.images == images.size(),
          "the messages have " + ticked(chat.images) + " images and " + ticked(images.size()) + " are given with them");
  require(images.size() <= kMostChatImages,
          "the messages have " + ticked(images.size()) + " images, more than " + ticked(kMostChatImages));
  for (const ChatImage &image : images) {
    const uint64_t pixels = uint64_t{image.width} * image.height;
    require(image.width > 0 && image.height > 0 && image.width <= kLongestSide && image.height <= kLongestSide &&
                pixels <= kMostPixels,
            "an image has " + std::to_string(image.width) + "x" + std::to_string(image.height) + " pixels",
            "at most " + std::to_string(kMostPixels) + ", and " + std::to_string(kLongestSide) + " on a side");
  }
}

void TextManager::with_image_encoder(const Interrupt &interrupt,
                                     const std::function<void(ImageEncoder &)> &work) const {
  std::unique_lock lock(image_encoder_mutex_, std::defer_lock);
  while (!lock.try_lock_for(kEncoderWait)) interrupt.check();
  if (facts().backend == "cpu") {
    work(*image_encoder_);
  } else {
    scheduler_->alone(interrupt, [&](Engine &) { work(*image_encoder_); });
  }
}

PromptImages TextManager::images_of(const Prepared &prepared, const Interrupt &interrupt) const {
  return {prepared.images, [this, &interrupt](const ImagePart &part) {
            ImageEmbeddings made;
            with_image_encoder(interrupt, [&](ImageEncoder &encoder) { made = encoder.encode(part, interrupt); });
            return made;
          }};
}

void TextManager::place(const ChatImage &image, Prepared &prepared, const Interrupt &interrupt) const {
  const std::string name = ImageNumbers::name(image);
  std::vector<ImagePiece> pieces;
  with_image_encoder(interrupt, [&](ImageEncoder &encoder) { pieces = encoder.divide(image); });
  std::vector<int32_t> &tokens = prepared.tokens;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].part == nullptr) {
      tokens.insert(tokens.end(), pieces[i].tokens.begin(), pieces[i].tokens.end());
      continue;
    }
    prepared.images.push_back({tokens.size(), pieces[i].token_count, pieces[i].part});
    tokens.insert(tokens.end(), pieces[i].token_count, image_numbers_.number(name, i));
  }
}

const InputMarks &TextManager::marks() const {
  std::call_once(marks_once_, [this] { marks_.emplace(tokenizer_.reserved_texts(chat_format_.source())); });
  return *marks_;
}

void TextManager::check_fits(size_t token_count) const {
  const uint32_t context = facts().context_tokens;
  if (!facts().generates) {
    throw Error(SE_UNSUPPORTED, "the model is an encoder, which makes embeddings and no text", "call embed");
  }
  require(token_count > 0, "the prompt has no tokens");
  require(token_count <= context,
          // Of a long text no more are counted.
          "the prompt has at least " + ticked(token_count) + " tokens and the context holds " + ticked(context),
          "shorten the prompt or open with a longer context");
}

void TextManager::open_draft(const fs::path &path, EngineOptions options) {
  std::error_code error;
  const bool is_bundle = fs::is_directory(path, error);
  uint64_t own_context = 0;
  if (is_bundle) own_context = read_bundle(path).context_tokens;
  if (!is_bundle && has_gguf_magic(path)) own_context = read_gguf(path).hyperparameter("context_length").value_or(0);
  options.context_tokens = static_cast<uint32_t>(std::min<uint64_t>(own_context, facts().context_tokens));
  // It drafts text only.
  options.mmproj.clear();
  std::unique_ptr<TextManager> draft = open(path, std::move(options));
  if (!draft->facts().generates || !draft->facts().goes_back) {
    throw Error(SE_UNSUPPORTED, "a model of the family " + ticked(draft->facts().family) + " cannot draft",
                "choose a decoder with attention in every layer");
  }
  check_draft(DraftSource::prompt_lookup);
  check_same_tokens(tokenizer_, draft->tokenizer_);
  draft_sequences_.resize(facts().sequences);
  for (uint32_t i = 0; i < facts().sequences; ++i) draft_sequences_[i].index = i;
  draft_ = std::move(draft);
}

void TextManager::check_draft(DraftSource source) const {
  if (source == DraftSource::off) return;
  if (!facts().goes_back) {
    throw Error(SE_UNSUPPORTED,
                "a model of the family " + ticked(facts().family) +
                    " cannot go back over drafts that are wrong: it has no speculative decoding",
                "leave drafts off");
  }
  require(source != DraftSource::model || has_draft(), "there is no draft model", "open with a draft model");
}

Drafting TextManager::drafting(const TextRequest &request, const Decoder &decoder, std::span<const int32_t> prompt) {
  // Where the clock decides: with the token before them four times the least number of rows.
  constexpr uint32_t kMostByClock = 15;
  if (request.draft == DraftSource::off) return {};
  const bool is_model = request.draft == DraftSource::model;
  std::unique_ptr<Drafter> drafter;
  if (is_model) {
    const uint32_t vocabulary = std::min(tokenizer_.size(), draft_->tokenizer_.size());
    drafter = std::make_unique<DraftModel>(*draft_->scheduler_, *draft_->engine_,
                                           draft_sequences_[decoder.sequence.index], vocabulary);
  } else {
    drafter = std::make_unique<PromptLookup>();
    const TokenizeLimits limits{decoder.interrupt};
    for (const int32_t token : tokenizer_.tokenize(request.prediction, false, false, limits)) drafter->add(token);
  }
  for (const int32_t token : prompt) {
    // Not the places of images: nothing can repeat them.
    if (token >= 0) drafter->add(token);
  }
  if (request.draft_tokens > 0) return {std::move(drafter), request.draft_tokens};
  const bool is_on_cpu = facts().backend == "cpu" && (!is_model || draft_->facts().backend == "cpu");
  return {std::move(drafter), kMostByClock, is_model ? &draft_model_costs_ : &lookup_costs_, is_on_cpu};
}

void TextManager::generate(const TextRequest &request, const DeltaReceiver &receiver, const Interrupt &interrupt,
                           TextResult &result) {
  const auto begin = Clock::now();
  const Prepared prepared = prepare(request, interrupt);
  const std::vector<int32_t> &prompt = prepared.tokens;
  result.seed = request.sampling.seed;
  result.backend = facts().backend;
  if (prepared.images.empty()) tokenizer_.check(prompt);
  check_fits(prompt.size());
  result.prompt_tokens = static_cast<uint32_t>(prompt.size());
  tokenizer_.check(request.stop_tokens);
  check_draft(request.draft);
  SamplingOptions sampling = request.sampling;
  if (request.json_schema) {
    interrupt.check();
    sampling.grammar.text = grammar_of_schema(*request.json_schema);
    interrupt.check();
  }
  if (sampling.grammar.text.empty()) sampling.grammar = prepared.chat.grammar;
  Sampler sampler(sampling, tokenizer_, facts().context_tokens, interrupt);
  for (const int32_t token : prompt) {
    if (token >= 0) sampler.accept(token, true);
  }
  Response response(prepared.chat, {request.stops, request.stop_tokens}, tokenizer_, receiver);

  const Sequences::Lease sequence = sequences_->take(prompt, request.sequence_key, interrupt);
  const auto prefill_begin = Clock::now();
  const Decoder decoder{*scheduler_, *engine_, *sequence, interrupt};
  std::vector<float> logits = prefill(decoder, prompt, result.cached_tokens, images_of(prepared, interrupt));
  result.prefill_seconds = seconds_since(prefill_begin);
  Speculation speculation(decoder, std::move(logits), drafting(request, decoder, prompt));
  Clock::time_point first;
  while (true) {
    interrupt.check();
    // Rows beyond the tokenizer's vocabulary are padding of the weights and are never sampled.
    const auto row = speculation.logits().first(tokenizer_.size());
    const std::optional<int32_t> forced = response.forced();
    const int32_t token = forced ? *forced : sampler.sample(row);
    const bool is_first = result.completion_tokens == 0;
    if (is_first) first = Clock::now();
    if (is_first) result.first_token_seconds = seconds_since(begin);
    result.decode_seconds = seconds_since(first);
    if (tokenizer_.ends_text(token) && !request.ignore_end_of_text) break;
    if (response.ends_before(token)) break;
    ++result.completion_tokens;
    if (request.top_logprobs) response.add_logprob(token_logprob(row, token, *request.top_logprobs, tokenizer_));
    const bool goes_on = response.add(token);
    result.reasoning_tokens = response.reasoning_tokens();
    sampler.set_reasoning(response.is_reasoning());
    sampler.accept(token, false);
    if (!goes_on) break;
    const size_t room = facts().context_tokens - sequence->computed.size();
    const size_t wanted = request.max_tokens == 0 ? room : request.max_tokens - result.completion_tokens;
    if (room == 0 || wanted == 0) {
      result.finish_reason = FinishReason::length;
      break;
    }
    // The last token of an answer is chosen, and never computed.
    speculation.advance(token, std::min(room, wanted) - 1);
    result.draft_tokens = speculation.drafted();
    result.accepted_tokens = speculation.accepted();
  }
  response.finish();
  if (result.finish_reason == FinishReason::length) return;
  response.check();
  result.stop_index = response.end_index();
  result.finish_reason = response.has_tool_calls() ? FinishReason::tool_calls : FinishReason::stop;
}

void TextManager::score(std::span<const int32_t> tokens, const RowReceiver &receiver, const Interrupt &interrupt) {
  tokenizer_.check(tokens);
  check_fits(tokens.size());
  const Sequences::Lease sequence = sequences_->take({}, "", interrupt);
  sequence->computed.clear();
  scheduler_->alone(interrupt, [&](Engine &engine) { engine.rewind(sequence->index, 0); });
  const size_t vocabulary = vocab_size();
  for (size_t begin = 0; begin < tokens.size(); begin = sequence->computed.size()) {
    const size_t most = engine().score_tokens(static_cast<uint32_t>(begin));
    const auto part = tokens.subspan(begin, std::min(most, tokens.size() - begin));
    scheduler_->alone(interrupt, [&](Engine &engine) {
      const auto logits = engine.score(sequence->index, part, static_cast<uint32_t>(begin), interrupt);
      for (size_t i = 0; i < part.size(); ++i) receiver(begin + i, logits.subspan(i * vocabulary, vocabulary));
    });
    sequence->computed.insert(sequence->computed.end(), part.begin(), part.end());
  }
}

std::vector<float> TextManager::next_logits(std::span<const int32_t> tokens, const Interrupt &interrupt) {
  tokenizer_.check(tokens);
  check_fits(tokens.size());
  const Sequences::Lease sequence = sequences_->take(tokens, "", interrupt);
  uint32_t cached_tokens = 0;
  return prefill({*scheduler_, *engine_, *sequence, interrupt}, tokens, cached_tokens);
}

std::vector<int32_t> TextManager::embedding_tokens(const std::string &text, bool truncates, const Interrupt &interrupt,
                                                   EmbedResult &result) const {
  const size_t most = facts().embed_tokens;
  std::vector<int32_t> tokens = tokenizer_.tokenize(text, true, false, {interrupt, most, truncates});
  require(!tokens.empty(), "a text to embed is empty");
  if (tokens.size() > most) {
    // Of a longer text not all tokens are known.
    const std::string count = text.size() > kPieceBytes ? "more than " + ticked(most) : ticked(tokens.size());
    require(truncates, "a text has " + count + " tokens, and the model embeds " + ticked(most),
            "shorten it, or let it be truncated");
    // The token that the model expects at the end stays there.
    const int32_t last = tokens.back();
    tokens.resize(most);
    if (tokenizer_.adds_end()) tokens.back() = last;
    ++result.truncated;
  }
  result.tokens += tokens.size();
  return tokens;
}

void TextManager::embed(std::span<const std::string> texts, const EmbedRequest &request, std::span<float> out,
                        const Interrupt &interrupt, EmbedResult &result) {
  const auto begin = Clock::now();
  const EngineFacts &model = facts();
  std::string pooling = request.pooling.empty() ? model.pooling : request.pooling;
  if (pooling.empty()) pooling = "mean";
  const Sequences::Lease sequence = sequences_->take({}, "", interrupt);
  sequence->computed.clear();
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto tokens = embedding_tokens(texts[i], request.truncates, interrupt, result);
    Pooling pooled(pooling, model.embedding_size);
    scheduler_->alone(interrupt, [&](Engine &engine) {
      engine.rewind(sequence->index, 0);
      engine.embed(sequence->index, tokens, [&](std::span<const float> rows) { pooled.add(rows); }, interrupt);
    });
    pooled.finish(request.normalized, out.subspan(i * model.embedding_size, model.embedding_size));
    result.seconds = seconds_since(begin);
  }
}

SavedModel TextManager::saved_model() const {
  // llama.cpp writes some numbers about each token besides its keys and values.
  constexpr uint64_t kBytesBesides = 1 << 20, kBytesPerToken = 32;
  return {bundle_id_.empty() ? gguf_id(model_path_) : bundle_id_, facts().engine + " on " + facts().backend,
          facts().context_tokens, facts().kv_cache_bytes + kBytesBesides + kBytesPerToken * facts().context_tokens};
}

size_t TextManager::save(const fs::path &path, const std::string &key, const Interrupt &interrupt) {
  const SavedModel model = saved_model();
  const Sequences::Lease sequence = sequences_->take_used(key, interrupt);
  SavedSequence saved;
  scheduler_->alone(interrupt, [&](Engine &engine) {
    // A call that was stopped may have computed more than is known.
    sequence->computed.resize(engine.rewind(sequence->index, static_cast<uint32_t>(sequence->computed.size())));
    if (sequence->computed.empty()) throw Error(SE_NOT_FOUND, "the conversation has no tokens");
    if (*std::min_element(sequence->computed.begin(), sequence->computed.end()) < 0) {
      throw Error(SE_UNSUPPORTED, "the conversation has images, and such a one cannot be saved");
    }
    saved.state = engine.save(sequence->index, static_cast<uint32_t>(sequence->computed.size()), interrupt);
  });
  saved.tokens = sequence->computed;
  write_sequence(path, model, saved);
  return saved.tokens.size();
}

size_t TextManager::restore(const fs::path &path, const std::string &key, const Interrupt &interrupt) {
  const SavedSequence saved = read_sequence(path, saved_model());
  tokenizer_.check(saved.tokens);
  const Sequences::Lease sequence = sequences_->take(saved.tokens, key, interrupt);
  sequence->computed.clear();
  scheduler_->alone(interrupt, [&](Engine &engine) { engine.restore(sequence->index, saved.tokens, saved.state); });
  sequence->computed = saved.tokens;
  sequence->prompt_tokens = saved.tokens.size();
  return saved.tokens.size();
}

std::vector<int32_t> TextManager::tokenize(std::string_view text, bool add_special, bool parse_special) const {
  return tokenizer_.tokenize(text, add_special, parse_special);
}

std::string TextManager::detokenize(std::span<const int32_t> tokens, bool keep_special) const {
  return to_utf8(tokenizer_.detokenize(tokens, keep_special));
}

void TextManager::reset() {
  engine();
  sequences_->forget();
}

std::string TextManager::render_chat(const std::string &conversation, const Interrupt &interrupt) const {
  const ChatPrompt prompt = chat_format_.prompt(ChatRequest::parse(conversation), marks(), interrupt);
  std::string text;
  for (const InputMarks::Piece &piece : InputMarks::pieces(prompt.text)) {
    text += InputMarks::without(std::string(piece.text));
    if (piece.image) text += kImageName;
  }
  return text;
}

size_t TextManager::count_chat(const ChatMessages &messages, const Interrupt &interrupt) const {
  TextRequest request;
  request.prompt = messages;
  return prepare_chat(request, {interrupt}).tokens.size();
}

void TextManager::set_trace(TraceCallback callback) {
  engine();
  scheduler_->alone(Interrupt(), [&](Engine &engine) { engine.set_trace(std::move(callback)); });
}

std::string TextManager::info_json() {
  const EngineFacts &facts = this->facts();
  OrderedJson kernels = OrderedJson::array();
  scheduler_->alone(Interrupt(), [&](Engine &engine) {
    for (const KernelSeconds &kernel : engine.kernel_seconds()) {
      kernels.push_back({{"name", kernel.name}, {"calls", kernel.calls}, {"seconds", kernel.seconds}});
    }
  });
  return OrderedJson{{"engine", facts.engine},
                     {"backend", facts.backend},
                     {"device", facts.device},
                     {"backend_reason", facts.backend_reason},
                     {"family", facts.family},
                     {"quantization", facts.quantization},
                     {"vocab_size", facts.vocab_size},
                     {"context_tokens", facts.context_tokens},
                     {"sequences", facts.sequences},
                     {"threads", facts.threads},
                     {"weights_bytes", facts.weights_bytes},
                     {"kv_cache_bytes", facts.kv_cache_bytes},
                     {"has_chat_template", chat_format_.exists()},
                     {"reads_images", image_encoder_ != nullptr},
                     {"generates", facts.generates},
                     {"speculates", facts.generates && facts.goes_back},
                     {"draft_model_bytes", draft_ ? draft_->model_bytes() : 0},
                     {"embedding_size", facts.embedding_size},
                     {"embed_tokens", facts.embed_tokens},
                     {"pooling", facts.pooling},
                     {"load_seconds", load_seconds_},
                     {"kernels", kernels}}
      .dump();
}

}  // namespace se
