// Opens models and runs calls on them: prefix reuse, the generation loop, chat, scoring.
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
      chat_template_(chat_template ? std::move(*chat_template) : tokenizer_.chat_template(), tokenizer_.bos_text(),
                     tokenizer_.eos_text()) {}

std::unique_ptr<TextManager> TextManager::open(const fs::path &path, EngineOptions options) {
  const auto begin = Clock::now();
  adopt_engine_logs();
  options.threads = checked_threads(options.threads);
  require(options.context_tokens <= INT32_MAX, "context_tokens is out of range: " + ticked(options.context_tokens));
  std::error_code error;
  if (!fs::exists(path, error)) throw Error(SE_NOT_FOUND, "no such file or folder: " + ticked(path.string()));
  std::unique_ptr<TextManager> text;
  if (fs::is_directory(path)) {
    text = open_bundle(path, std::move(options));
  } else {
    refuse_other_files(path);
    text = open_gguf(path, options, nullptr);
  }
  text->load_seconds_ = seconds_since(begin);
  return text;
}

std::unique_ptr<TextManager> TextManager::open_gguf(const fs::path &path, const EngineOptions &options,
                                                    const Bundle *bundle) {
  std::shared_ptr<const llama_vocab> vocabulary;
  auto engine = open_on_first_backend(bundle, options.backend, [&](const std::string &backend) {
    GgufEngine made = open_gguf_engine(path, options.context_tokens, options.threads, backend);
    vocabulary = std::move(made.vocabulary);
    return std::move(made.engine);
  });
  Tokenizer tokenizer(std::move(vocabulary), read_gguf(path));
  return std::unique_ptr<TextManager>(new TextManager(std::move(tokenizer), std::move(engine),
                                                      bundle != nullptr ? bundle->chat_template : std::nullopt));
}

std::unique_ptr<TextManager> TextManager::open_bundle(const fs::path &path, EngineOptions options) {
  const Bundle bundle = read_bundle_for(path, kTask);
  if (options.context_tokens == 0) options.context_tokens = bundle.context_tokens;
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
  return text;
}

std::unique_ptr<TextManager> TextManager::open_vocabulary(const fs::path &path) {
  return std::unique_ptr<TextManager>(new TextManager(Tokenizer::from_file(path), nullptr, std::nullopt));
}

Engine &TextManager::engine() const {
  if (!engine_) throw Error(SE_UNSUPPORTED, "only a vocabulary is open, not a model");
  return *engine_;
}

std::vector<int32_t> TextManager::prompt_tokens(const TextRequest &request) {
  if (const auto *tokens = std::get_if<std::span<const int32_t>>(&request.prompt)) {
    return {tokens->begin(), tokens->end()};
  }
  if (const auto *text = std::get_if<std::string>(&request.prompt)) return tokenizer_.tokenize(*text, true, true);
  const std::string prompt = chat_template_.render(std::get<ChatMessages>(request.prompt).json);
  // Most templates write the begin token themselves; a second one would confuse the model.
  const std::string bos = tokenizer_.bos_text();
  const bool has_bos = !bos.empty() && prompt.starts_with(bos);
  return tokenizer_.tokenize(prompt, !has_bos, true);
}

void TextManager::check_fits(size_t token_count) const {
  const uint32_t context = engine().facts().context_tokens;
  require(token_count > 0, "the prompt has no tokens");
  require(token_count <= context,
          "the prompt has " + ticked(token_count) + " tokens and the context holds " + ticked(context),
          "shorten the prompt or open with a longer context");
}

std::span<const float> TextManager::prefill(std::span<const int32_t> prompt, const Interrupt &interrupt,
                                            TextResult &result) {
  const auto begin = Clock::now();
  const auto [differs, ignored] = std::mismatch(computed_.begin(), computed_.end(), prompt.begin(), prompt.end());
  // The last token is always computed, because its logits are needed.
  const auto common = std::min<size_t>(static_cast<size_t>(differs - computed_.begin()), prompt.size() - 1);
  computed_.resize(common);
  const uint32_t kept = engine().rewind(static_cast<uint32_t>(common));
  computed_.resize(kept);
  const auto logits = engine().advance(prompt.subspan(kept), kept, interrupt);
  computed_.assign(prompt.begin(), prompt.end());
  result.cached_tokens = kept;
  result.prefill_seconds = seconds_since(begin);
  return logits;
}

void TextManager::generate(const TextRequest &request, const OutputStream::Receiver &receiver,
                           const Interrupt &interrupt, TextResult &result) {
  const auto begin = Clock::now();
  const std::vector<int32_t> prompt = prompt_tokens(request);
  result.seed = request.sampling.seed;
  tokenizer_.check(prompt);
  check_fits(prompt.size());
  result.prompt_tokens = static_cast<uint32_t>(prompt.size());
  Sampler sampler(request.sampling, tokenizer_);
  for (const int32_t token : prompt) sampler.accept(token, true);
  OutputStream output(request.stops, receiver);

  std::span<const float> logits = prefill(prompt, interrupt, result);
  Clock::time_point first;
  while (true) {
    interrupt.check();
    // Rows beyond the tokenizer's vocabulary are padding of the weights and are never sampled.
    const int32_t token = sampler.sample(logits.first(tokenizer_.size()));
    const bool is_first = result.completion_tokens == 0;
    if (is_first) first = Clock::now();
    if (is_first) result.first_token_seconds = seconds_since(begin);
    result.decode_seconds = seconds_since(first);
    if (tokenizer_.ends_text(token) && !request.ignore_end_of_text) break;
    ++result.completion_tokens;
    sampler.accept(token, false);
    if (!output.add(tokenizer_.piece(token))) break;
    output.check();
    const bool is_full = computed_.size() >= engine().facts().context_tokens;
    if (is_full || result.completion_tokens == request.max_tokens) {
      output.finish();
      result.finish_reason = FinishReason::length;
      return;
    }
    logits = engine().advance({&token, 1}, static_cast<uint32_t>(computed_.size()), interrupt);
    computed_.push_back(token);
  }
  output.finish();
  output.check();
  result.finish_reason = FinishReason::stop;
}

void TextManager::score(std::span<const int32_t> tokens, const RowReceiver &receiver, const Interrupt &interrupt) {
  tokenizer_.check(tokens);
  check_fits(tokens.size());
  reset();
  const size_t vocabulary = vocab_size();
  for (size_t begin = 0; begin < tokens.size(); begin = computed_.size()) {
    const size_t most = engine().score_tokens(static_cast<uint32_t>(begin));
    const auto part = tokens.subspan(begin, std::min(most, tokens.size() - begin));
    const auto logits = engine().score(part, static_cast<uint32_t>(begin), interrupt);
    for (size_t i = 0; i < part.size(); ++i) {
      receiver(begin + i, logits.subspan(i * vocabulary, vocabulary));
    }
    computed_.insert(computed_.end(), part.begin(), part.end());
  }
}

std::span<const float> TextManager::next_logits(std::span<const int32_t> tokens, const Interrupt &interrupt) {
  tokenizer_.check(tokens);
  check_fits(tokens.size());
  TextResult result;
  return prefill(tokens, interrupt, result);
}

std::vector<int32_t> TextManager::tokenize(std::string_view text, bool add_special, bool parse_special) const {
  return tokenizer_.tokenize(text, add_special, parse_special);
}

std::string TextManager::detokenize(std::span<const int32_t> tokens, bool keep_special) const {
  return to_utf8(tokenizer_.detokenize(tokens, keep_special));
}

void TextManager::reset() {
  computed_.clear();
  engine().rewind(0);
}

std::string TextManager::info_json() {
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
