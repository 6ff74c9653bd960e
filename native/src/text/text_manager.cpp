// Opens models and runs calls on them: prefix reuse, the generate loop, chat, scoring.
#include "text/text_manager.h"

#include <algorithm>
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
#include "formats/whisper_file.h"
#include "tvm/tvm_engine.h"

namespace se {
namespace fs = std::filesystem;
namespace {

void refuse_other_folder(const fs::path &path) {
  if (fs::exists(path / "bundle.json")) return;
  std::error_code error;
  const bool model_folder = fs::exists(path / "config.json", error);
  throw Error(model_folder ? SE_FORMAT_MISMATCH : SE_NOT_FOUND, "no bundle.json in " + ticked(path.string()),
              model_folder ? "turn the model folder into a bundle first: sphere-edge package " + path.string() +
                                 " --profile host"
                           : "");
}

void refuse_other_file(const fs::path &path) {
  if (has_gguf_magic(path)) return;
  if (path.extension() == ".sphere") {
    throw Error(SE_FORMAT_MISMATCH, ticked(path.string()) + " is a packed bundle", "unzip it into a folder first");
  }
  if (has_whisper_magic(path)) {
    throw Error(SE_FORMAT_MISMATCH, ticked(path.string()) + " is a speech recognition model of whisper.cpp",
                "open it with the audio manager");
  }
  throw Error(SE_MODEL_CORRUPT, ticked(path.string()) + " is no GGUF file: it does not begin with `GGUF`",
              "give a bundle folder or a .gguf file");
}

}  // namespace

TextManager::TextManager(Tokenizer tokenizer, std::unique_ptr<Engine> engine, std::optional<std::string> chat_template)
    : tokenizer_(std::move(tokenizer)),
      engine_(std::move(engine)),
      chat_template_(chat_template ? std::move(*chat_template) : tokenizer_.chat_template(), tokenizer_.bos_text(),
                     tokenizer_.eos_text()) {}

std::unique_ptr<TextManager> TextManager::open(const fs::path &path, int threads, uint32_t context_tokens,
                                               const TvmChoice &choice) {
  const auto begin = Clock::now();
  adopt_engine_logs();
  require(threads >= 0 && threads <= 512, "threads is out of range: " + ticked(std::to_string(threads)));
  require(context_tokens <= INT32_MAX, "context_tokens is out of range: " + ticked(context_tokens));
  if (threads == 0) threads = performance_cores();
  std::error_code error;
  if (!fs::exists(path, error)) throw Error(SE_NOT_FOUND, "no such file or folder: " + ticked(path.string()));
  std::unique_ptr<TextManager> text;
  if (fs::is_directory(path)) {
    refuse_other_folder(path);
    text = open_bundle(path, threads, context_tokens, choice);
  } else {
    refuse_other_file(path);
    text = open_gguf(path, threads, context_tokens, std::nullopt, nullptr, choice.backend);
  }
  text->load_seconds_ = seconds_since(begin);
  return text;
}

std::unique_ptr<TextManager> TextManager::open_gguf(const fs::path &path, int threads, uint32_t context_tokens,
                                                    std::optional<std::string> chat_template, const Bundle *bundle,
                                                    const std::string &backend) {
  std::shared_ptr<const llama_vocab> vocabulary;
  auto engine = open_on_first_backend(bundle, backend, [&](const std::string &one) {
    GgufEngine made = open_gguf_engine(path, context_tokens, threads, one);
    vocabulary = std::move(made.vocabulary);
    return std::move(made.engine);
  });
  Tokenizer tokenizer(std::move(vocabulary), read_gguf(path));
  return std::unique_ptr<TextManager>(
      new TextManager(std::move(tokenizer), std::move(engine), std::move(chat_template)));
}

std::unique_ptr<TextManager> TextManager::open_bundle(const fs::path &path, int threads, uint32_t context_tokens,
                                                      const TvmChoice &choice) {
  const Bundle bundle = read_bundle(path);
  if (bundle.task != "text") {
    throw Error(SE_FORMAT_MISMATCH, "the bundle is for " + ticked(bundle.task) + ", not for text",
                "open it with the manager of that task");
  }
  const uint32_t context = context_tokens != 0 ? context_tokens : bundle.context_tokens;
  std::unique_ptr<TextManager> text;
  if (bundle.engine == "llama") {
    text = open_gguf(bundle.file("model").path, threads, context, bundle.chat_template, &bundle, choice.backend);
  } else if (bundle.engine == "tvm") {
    Tokenizer tokenizer = Tokenizer::from_file(bundle.file("tokenizer").path);
    if (tokenizer.size() > bundle.vocab_size) {
      throw Error(SE_MODEL_CORRUPT, "the tokenizer has " + ticked(tokenizer.size()) + " tokens and the model " +
                                        ticked(bundle.vocab_size));
    }
    check_runs_here(bundle);
    auto engine = make_tvm_engine(bundle, context, threads, choice);
    text.reset(new TextManager(std::move(tokenizer), std::move(engine), bundle.chat_template));
  } else {
    throw Error(SE_UNSUPPORTED, "the engine " + ticked(bundle.engine) + " runs no text");
  }
  text->sampling_ = bundle.sampling;
  return text;
}

std::unique_ptr<TextManager> TextManager::open_vocabulary(const fs::path &path) {
  return std::unique_ptr<TextManager>(new TextManager(Tokenizer::from_file(path), nullptr, std::nullopt));
}

Engine &TextManager::engine() {
  if (!engine_) throw Error(SE_UNSUPPORTED, "only a vocabulary is open, not a model");
  return *engine_;
}

void TextManager::generate(std::string_view prompt, const GenerateOptions &options, const Answer::Receiver &receiver,
                           se_text_result &result) {
  const Turn::Call call(turn_, options.timeout_ms);
  run(tokenizer_.tokenize(prompt, true, true), options, receiver, result);
}

void TextManager::generate(std::span<const int32_t> tokens, const GenerateOptions &options,
                           const Answer::Receiver &receiver, se_text_result &result) {
  const Turn::Call call(turn_, options.timeout_ms);
  run(tokens, options, receiver, result);
}

void TextManager::chat(const std::string &messages_json, const GenerateOptions &options,
                       const Answer::Receiver &receiver, se_text_result &result) {
  const Turn::Call call(turn_, options.timeout_ms);
  const std::string prompt = chat_template_.render(messages_json);
  // Most templates write the begin token themselves; a second one would confuse the model.
  const std::string bos = tokenizer_.bos_text();
  const bool written = !bos.empty() && prompt.starts_with(bos);
  run(tokenizer_.tokenize(prompt, !written, true), options, receiver, result);
}

std::string TextManager::render_chat(const std::string &messages_json) {
  const Turn::Call call(turn_, 0);
  return chat_template_.render(messages_json);
}

void TextManager::check_fits(size_t token_count) {
  const uint32_t context = engine().facts().context_tokens;
  require(token_count > 0, "the prompt has no tokens");
  require(token_count <= context,
          "the prompt has " + ticked(token_count) + " tokens and the context holds " + ticked(context),
          "shorten the prompt or open with a longer context");
}

std::span<const float> TextManager::prefill(std::span<const int32_t> prompt, se_text_result &result) {
  const auto begin = Clock::now();
  const auto [differs, ignored] = std::mismatch(computed_.begin(), computed_.end(), prompt.begin(), prompt.end());
  // The last token is always computed, because its logits are wanted.
  const auto common = std::min<size_t>(static_cast<size_t>(differs - computed_.begin()), prompt.size() - 1);
  computed_.resize(common);
  const uint32_t kept = engine().rewind(static_cast<uint32_t>(common));
  computed_.resize(kept);
  const auto logits = engine().advance(prompt.subspan(kept), kept, turn_.interrupt());
  computed_.assign(prompt.begin(), prompt.end());
  result.cached_tokens = kept;
  result.prefill_seconds = seconds_since(begin);
  return logits;
}

void TextManager::run(std::span<const int32_t> prompt, const GenerateOptions &options, const Answer::Receiver &receiver,
                      se_text_result &result) {
  const auto begin = Clock::now();
  result.seed = options.sampling.seed;
  result.finish_reason = SE_FINISH_CANCELLED;
  tokenizer_.check(prompt);
  check_fits(prompt.size());
  result.prompt_tokens = static_cast<uint32_t>(prompt.size());
  Sampler sampler(options.sampling, tokenizer_);
  for (const int32_t token : prompt) sampler.accept(token, true);
  Answer answer(options.stops, receiver);
  // Special rows beyond the tokenizer's vocabulary are padding of the weights: never sampled.
  const auto row = [&](std::span<const float> logits) { return logits.first(tokenizer_.size()); };

  std::span<const float> logits = prefill(prompt, result);
  Clock::time_point first;
  while (true) {
    turn_.interrupt().check();
    const int32_t token = sampler.sample(row(logits));
    const bool is_first = result.completion_tokens == 0;
    if (is_first) first = Clock::now();
    if (is_first) result.first_token_seconds = seconds_since(begin);
    result.decode_seconds = seconds_since(first);
    if (tokenizer_.ends_text(token) && !options.ignore_end_of_text) break;
    ++result.completion_tokens;
    sampler.accept(token, false);
    if (!answer.add(tokenizer_.piece(token))) break;
    if (answer.refused()) throw Error(SE_CANCELLED, "the callback stopped the call");
    const bool full = computed_.size() >= engine().facts().context_tokens;
    if (full || result.completion_tokens == options.max_tokens) {
      answer.finish();
      result.finish_reason = SE_FINISH_LENGTH;
      return;
    }
    logits = engine().advance({&token, 1}, static_cast<uint32_t>(computed_.size()), turn_.interrupt());
    computed_.push_back(token);
  }
  answer.finish();
  if (answer.refused()) throw Error(SE_CANCELLED, "the callback stopped the call");
  result.finish_reason = SE_FINISH_STOP;
}

void TextManager::score(std::span<const int32_t> tokens, const RowReceiver &receiver) {
  const Turn::Call call(turn_, 0);
  tokenizer_.check(tokens);
  check_fits(tokens.size());
  computed_.clear();
  engine().rewind(0);
  const size_t vocabulary = engine().facts().vocab_size;
  for (size_t begin = 0; begin < tokens.size(); begin = computed_.size()) {
    const size_t most = engine().score_tokens(static_cast<uint32_t>(begin));
    const auto part = tokens.subspan(begin, std::min(most, tokens.size() - begin));
    const auto logits = engine().score(part, static_cast<uint32_t>(begin), turn_.interrupt());
    for (size_t i = 0; i < part.size(); ++i) {
      receiver(begin + i, logits.subspan(i * vocabulary, vocabulary));
    }
    computed_.insert(computed_.end(), part.begin(), part.end());
  }
}

std::span<const float> TextManager::next_logits(std::span<const int32_t> tokens) {
  const Turn::Call call(turn_, 0);
  tokenizer_.check(tokens);
  check_fits(tokens.size());
  se_text_result result{};
  return prefill(tokens, result);
}

void TextManager::watch(KernelReceiver receiver) {
  const Turn::Call call(turn_, 0);
  engine().watch(std::move(receiver));
}

std::vector<int32_t> TextManager::tokenize(std::string_view text, bool add_special, bool parse_special) {
  const Turn::Call call(turn_, 0);
  return tokenizer_.tokenize(text, add_special, parse_special);
}

std::string TextManager::detokenize(std::span<const int32_t> tokens, bool keep_special) {
  const Turn::Call call(turn_, 0);
  return to_utf8(tokenizer_.detokenize(tokens, keep_special));
}

void TextManager::reset() {
  const Turn::Call call(turn_, 0);
  computed_.clear();
  engine().rewind(0);
}

std::string TextManager::info_json() {
  const Turn::Call call(turn_, 0);
  const EngineFacts &facts = engine().facts();
  OrderedJson kernels = OrderedJson::array();
  for (const KernelSeconds &kernel : engine().kernel_seconds()) {
    kernels.push_back({{"name", kernel.name}, {"calls", kernel.calls}, {"seconds", kernel.seconds}});
  }
  return OrderedJson{{"engine", facts.engine},
                     {"backend", facts.backend},
                     {"device", facts.device},
                     {"backend_reason", facts.backend_reason},
                     {"family", facts.family},
                     {"quantization", facts.quantization},
                     {"vocab_size", facts.vocab_size},
                     {"context_tokens", facts.context_tokens},
                     {"threads", facts.threads},
                     {"weights_bytes", facts.weights_bytes},
                     {"kv_cache_bytes", facts.kv_cache_bytes},
                     {"has_chat_template", chat_template_.exists()},
                     {"load_seconds", load_seconds_},
                     {"kernels", kernels}}
      .dump();
}

}  // namespace se
