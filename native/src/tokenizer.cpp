// Calls llama.cpp's tokenizer with checked arguments.
#include "tokenizer.h"

#include <utility>

#include "gguf.h"
#include "log.h"
#include "status.h"

namespace se {
namespace {

constexpr size_t kLongestText = 1 << 28;
constexpr const char *kBosKey = "tokenizer.ggml.bos_token_id";
// Written by sphere_edge/formats/tokenizer.py.
constexpr const char *kSpacePrefixKey = "sphere_edge.space_prefix";

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<llama_model> model)
    : model_(std::move(model)), vocabulary_(llama_model_get_vocab(model_.get())) {
  char number[16];
  has_bos_ = llama_vocab_type(vocabulary_) != LLAMA_VOCAB_TYPE_BPE ||
             llama_model_meta_val_str(model_.get(), kBosKey, number, sizeof number) >= 0;
  char scheme[8] = "";
  space_first_ = llama_model_meta_val_str(model_.get(), kSpacePrefixKey, scheme, sizeof scheme) == 5 &&
                 std::string_view(scheme) == "first";
  if (!space_first_) return;
  constexpr int kSpecial = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN | LLAMA_TOKEN_ATTR_USER_DEFINED;
  for (int32_t token = 0; token < llama_vocab_n_tokens(vocabulary_); ++token) {
    const int attributes = llama_vocab_get_attr(vocabulary_, token);
    if ((attributes & kSpecial) == 0) continue;
    specials_.push_back({text_of(token), (attributes & LLAMA_TOKEN_ATTR_USER_DEFINED) != 0});
  }
}

Tokenizer Tokenizer::from_file(const std::filesystem::path &path) {
  adopt_engine_logs();
  check_gguf_vocabulary(read_gguf(path), path);
  llama_model_params parameters = llama_model_default_params();
  parameters.vocab_only = true;
  const EngineErrors errors;
  std::shared_ptr<llama_model> model(llama_model_load_from_file(path.c_str(), parameters), llama_model_free);
  if (!model) {
    throw Error(SE_LOAD_FAILED, "cannot load the tokenizer " + ticked(path.string()) + ": " + errors.first());
  }
  return Tokenizer(std::move(model));
}

std::vector<int32_t> Tokenizer::tokenize(std::string_view text, bool add_special, bool parse_special) const {
  require(text.size() <= kLongestText,
          "the text has " + ticked(std::to_string(text.size())) + " bytes, more than can be tokenized at once");
  std::string spaced;
  if (lacks_space(text, parse_special)) {
    spaced.reserve(text.size() + 1);
    spaced.append(" ").append(text);
    text = spaced;
  }
  std::vector<int32_t> tokens(text.size() + 8);
  const auto call = [&] {
    return llama_tokenize(vocabulary_, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                          static_cast<int32_t>(tokens.size()), add_special, parse_special);
  };
  int32_t count = call();
  if (count == INT32_MIN) throw Error(SE_INVALID_ARGUMENT, "the text has too many tokens");
  if (count < 0) {
    tokens.resize(static_cast<size_t>(-count));
    count = call();
  }
  if (count < 0) throw Error(SE_INTERNAL, "the tokenizer contradicts itself");
  tokens.resize(static_cast<size_t>(count));
  return tokens;
}

bool Tokenizer::lacks_space(std::string_view text, bool parse_special) const {
  if (!space_first_ || text.empty() || text.front() == ' ' || text.starts_with("\u2581")) return false;
  for (const Special &special : specials_) {
    if ((parse_special || special.always) && text.starts_with(special.text)) return false;
  }
  return true;
}

std::string Tokenizer::detokenize(std::span<const int32_t> tokens, bool keep_special) const {
  check(tokens);
  std::string text(tokens.size() * 8 + 16, '\0');
  const auto call = [&] {
    return llama_detokenize(vocabulary_, tokens.data(), static_cast<int32_t>(tokens.size()), text.data(),
                            static_cast<int32_t>(text.size()), !keep_special, keep_special);
  };
  int32_t count = call();
  if (count < 0) {
    text.resize(static_cast<size_t>(-count));
    count = call();
  }
  if (count < 0) throw Error(SE_INTERNAL, "the tokenizer contradicts itself");
  text.resize(static_cast<size_t>(count));
  return text;
}

std::string Tokenizer::piece(int32_t token) const {
  std::string bytes(64, '\0');
  const auto call = [&] {
    return llama_token_to_piece(vocabulary_, token, bytes.data(), static_cast<int32_t>(bytes.size()), 0, false);
  };
  int32_t count = call();
  if (count < 0) {
    bytes.resize(static_cast<size_t>(-count));
    count = call();
  }
  bytes.resize(static_cast<size_t>(count < 0 ? 0 : count));
  return bytes;
}

std::string Tokenizer::chat_template() const {
  const char *text = llama_model_chat_template(model_.get(), nullptr);
  return text == nullptr ? "" : text;
}

void Tokenizer::check(std::span<const int32_t> tokens) const {
  require(tokens.size() <= kLongestText, "there are more tokens than can be handled at once");
  for (const int32_t token : tokens) {
    require(token >= 0 && static_cast<uint32_t>(token) < size(), "token id " + ticked(std::to_string(token)) +
                                                                     " is not in the vocabulary of " +
                                                                     ticked(std::to_string(size())) + " tokens");
  }
}

std::string Tokenizer::text_of(int32_t token) const {
  if (token == LLAMA_TOKEN_NULL) return "";
  const char *text = llama_vocab_get_text(vocabulary_, token);
  return text == nullptr ? "" : text;
}

}  // namespace se
