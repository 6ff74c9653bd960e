// Calls llama.cpp's tokenizer with checked arguments.
#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "engines/vocabulary.h"
#include "text/input_marks.h"
#include "text/text_pieces.h"

namespace se {
namespace {

constexpr size_t kLongestText = 1 << 28;
constexpr const char *kChatTemplateKey = "tokenizer.chat_template";
constexpr const char *kBosKey = "tokenizer.ggml.bos_token_id";
// Written by sphere_edge/formats/tokenizer.py.
constexpr const char *kSpacePrefixKey = "sphere_edge.space_prefix";

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const llama_vocab> vocabulary, const GgufHeader &header)
    : vocabulary_(std::move(vocabulary)),
      chat_template_(header.string(kChatTemplateKey)),
      space_first_(header.string(kSpacePrefixKey) == "first"),
      has_bos_(llama_vocab_type(vocabulary_.get()) != LLAMA_VOCAB_TYPE_BPE || header.count(kBosKey).has_value()),
      before_(PreTokenizer::of(header)) {
  if (!space_first_ && !before_) return;
  constexpr int kSpecial = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN | LLAMA_TOKEN_ATTR_USER_DEFINED;
  for (int32_t token = 0; token < llama_vocab_n_tokens(vocabulary_.get()); ++token) {
    const int attributes = llama_vocab_get_attr(vocabulary_.get(), token);
    if ((attributes & kSpecial) == 0) {
      if (before_ && before_->keeps_whole_words()) by_text_.push_back(token);
      continue;
    }
    specials_.push_back({text_of(token), token, (attributes & LLAMA_TOKEN_ATTR_USER_DEFINED) != 0});
  }
  for (const Special &special : specials_) {
    if (!special.text.empty()) begins_special_[static_cast<unsigned char>(special.text.front())] = true;
  }
  const auto is_longer = [](const Special &a, const Special &b) { return a.text.size() > b.text.size(); };
  std::stable_sort(specials_.begin(), specials_.end(), is_longer);
  const auto is_before = [this](int32_t a, int32_t b) { return token_text(a) < token_text(b); };
  std::sort(by_text_.begin(), by_text_.end(), is_before);
}

Tokenizer Tokenizer::from_file(const std::filesystem::path &path) {
  return Tokenizer(read_vocabulary(path), read_gguf(path));
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
  std::vector<int32_t> tokens;
  if (!before_) {
    append(tokens, text, add_special, parse_special);
    return tokens;
  }
  if (add_special && llama_vocab_get_add_bos(vocabulary_.get())) tokens.push_back(llama_vocab_bos(vocabulary_.get()));
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const Special *special = special_at(text.substr(at), parse_special);
    if (special == nullptr) {
      ++at;
      continue;
    }
    append_prepared(tokens, text.substr(begin, at - begin));
    tokens.push_back(special->token);
    begin = at += special->text.size();
  }
  append_prepared(tokens, text.substr(begin));
  if (add_special && llama_vocab_get_add_eos(vocabulary_.get())) tokens.push_back(llama_vocab_eos(vocabulary_.get()));
  return tokens;
}

void Tokenizer::append(std::vector<int32_t> &tokens, std::string_view text, bool add_special,
                       bool parse_special) const {
  const size_t before = tokens.size();
  tokens.resize(before + text.size() + 8);
  const auto call = [&] {
    return llama_tokenize(vocabulary_.get(), text.data(), static_cast<int32_t>(text.size()), tokens.data() + before,
                          static_cast<int32_t>(tokens.size() - before), add_special, parse_special);
  };
  int32_t count = call();
  if (count == INT32_MIN) throw Error(SE_INVALID_ARGUMENT, "the text has too many tokens");
  if (count < 0) {
    tokens.resize(before + static_cast<size_t>(-count));
    count = call();
  }
  if (count < 0) throw Error(SE_INTERNAL, "the tokenizer contradicts itself");
  tokens.resize(before + static_cast<size_t>(count));
}

void Tokenizer::append_prepared(std::vector<int32_t> &tokens, std::string_view text) const {
  if (text.empty()) return;
  if (!before_->cuts()) {
    append(tokens, before_->composed(text), false, false);
    return;
  }
  // Such a vocabulary's `pre` is `whitespace`: llama.cpp splits at spaces, of which spelled words have none, and drops
  // the newlines between them, which are spelled otherwise in its tokens.
  std::string words;
  for (const std::string &word : before_->words(text)) {
    const std::optional<int32_t> whole = whole_word(word);
    if (!whole) {
      words += word + "\n";
      continue;
    }
    if (!words.empty()) append(tokens, words, false, false);
    words.clear();
    tokens.push_back(*whole);
  }
  if (!words.empty()) append(tokens, words, false, false);
}

const Tokenizer::Special *Tokenizer::special_at(std::string_view text, bool parse_special) const {
  if (text.empty() || !begins_special_[static_cast<unsigned char>(text.front())]) return nullptr;
  for (const Special &special : specials_) {
    if ((parse_special || special.always) && !special.text.empty() && text.starts_with(special.text)) return &special;
  }
  return nullptr;
}

std::optional<int32_t> Tokenizer::whole_word(const std::string &word) const {
  const auto is_before = [this](int32_t token, const std::string &text) { return token_text(token) < text; };
  const auto found = std::lower_bound(by_text_.begin(), by_text_.end(), word, is_before);
  if (found == by_text_.end() || token_text(*found) != word) return std::nullopt;
  return *found;
}

bool Tokenizer::lacks_space(std::string_view text, bool parse_special) const {
  if (!space_first_ || text.empty() || text.front() == ' ' || text.starts_with("\u2581")) return false;
  return special_at(text, parse_special) == nullptr;
}

std::string Tokenizer::detokenize(std::span<const int32_t> tokens, bool keep_special) const {
  check(tokens);
  std::string text(tokens.size() * 8 + 16, '\0');
  const auto call = [&] {
    return llama_detokenize(vocabulary_.get(), tokens.data(), static_cast<int32_t>(tokens.size()), text.data(),
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

std::vector<int32_t> Tokenizer::tokenize(std::string_view text, bool add_special, bool parse_special,
                                         const TokenizeLimits &limits) const {
  limits.interrupt.check();
  const size_t end = piece_end(text, 0, parse_special);
  if (auto some = too_many(text.substr(0, end), parse_special, limits, limits.most)) return *std::move(some);
  std::vector<int32_t> tokens = tokenize(text.substr(0, end), add_special, parse_special);
  if (end == text.size()) return tokens;
  std::optional<int32_t> last;
  if (add_special && adds_end() && !tokens.empty()) {
    last = tokens.back();
    tokens.pop_back();
  }
  append_pieces(tokens, text.substr(end), parse_special, limits);
  if (last) tokens.push_back(*last);
  return tokens;
}

size_t Tokenizer::piece_end(std::string_view text, size_t begin, bool parse_special) const {
  return se::piece_end(text, begin, [&](std::string_view left, std::string_view right) {
    std::vector<int32_t> apart = tokenize(left, false, parse_special);
    const std::vector<int32_t> more = tokenize_inside(right, parse_special);
    apart.insert(apart.end(), more.begin(), more.end());
    return apart == tokenize(std::string(left).append(right), false, parse_special);
  });
}

std::optional<std::vector<int32_t>> Tokenizer::too_many(std::string_view text, bool parse_special,
                                                        const TokenizeLimits &limits, size_t room) const {
  // What tokens at both ends of a slice may join.
  constexpr size_t kJoined = 16;
  if (limits.exact || text.size() <= 4 * kPieceBytes) return std::nullopt;
  std::vector<int32_t> tokens;
  size_t joined = 0;
  for (size_t begin = 0; begin < text.size();) {
    limits.interrupt.check();
    size_t end = std::min(begin + kPieceBytes, text.size());
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    const std::vector<int32_t> more = tokenize_inside(text.substr(begin, end - begin), parse_special);
    tokens.insert(tokens.end(), more.begin(), more.end());
    joined += kJoined;
    if (tokens.size() > joined && tokens.size() - joined > room) return tokens;
    begin = end;
  }
  return std::nullopt;
}

void Tokenizer::append_pieces(std::vector<int32_t> &tokens, std::string_view text, bool parse_special,
                              const TokenizeLimits &limits) const {
  for (size_t begin = 0; begin < text.size() && tokens.size() <= limits.most;) {
    limits.interrupt.check();
    const size_t end = piece_end(text, begin, parse_special);
    const std::string_view piece = text.substr(begin, end - begin);
    const auto some = too_many(piece, parse_special, limits, limits.most - tokens.size());
    const std::vector<int32_t> more = some ? *some : tokenize_inside(piece, parse_special);
    tokens.insert(tokens.end(), more.begin(), more.end());
    begin = end;
  }
}

std::vector<int32_t> Tokenizer::tokenize_prompt(std::string_view marked, const TokenizeLimits &limits) const {
  const std::string bos = bos_text();
  const bool has_bos = !bos.empty() && marked.starts_with(bos);
  const std::string_view begin = marked.substr(0, marked.find(InputMarks::kMark));
  return tokenize_marked(marked, tokenize(begin, !has_bos, true, limits), limits);
}

// As llama.cpp does it: for SentencePiece a text begins here.
std::vector<int32_t> Tokenizer::tokenize_after_image(std::string_view marked, const TokenizeLimits &limits) const {
  const std::string_view begin = marked.substr(0, marked.find(InputMarks::kMark));
  std::vector<int32_t> tokens;
  if (space_first_) {
    append_pieces(tokens, begin, true, limits);
  } else {
    tokens = tokenize(begin, false, true, limits);
  }
  return tokenize_marked(marked, std::move(tokens), limits);
}

std::vector<int32_t> Tokenizer::tokenize_marked(std::string_view marked, std::vector<int32_t> begun,
                                                const TokenizeLimits &limits) const {
  for (size_t at = 0; (at = marked.find(InputMarks::kMark, at)) != std::string_view::npos;) {
    at += InputMarks::kMark.size();
    const size_t end = std::min(marked.find(InputMarks::kMark, at), marked.size());
    append_pieces(begun, marked.substr(at, end - at), true, limits);
  }
  return begun;
}

// SentencePiece vocabularies begin a text with a space. Behind a newline, which they never join with anything, there is
// none.
std::vector<int32_t> Tokenizer::tokenize_inside(std::string_view text, bool parse_special) const {
  const std::vector<int32_t> newline = tokenize("\n", false, parse_special);
  const std::vector<int32_t> both = tokenize("\n" + std::string(text), false, parse_special);
  if (both.size() < newline.size() || !std::equal(newline.begin(), newline.end(), both.begin())) {
    return tokenize(text, false, parse_special);
  }
  return {both.begin() + static_cast<ptrdiff_t>(newline.size()), both.end()};
}

std::vector<std::string> Tokenizer::reserved_texts(const std::string &chat_template) const {
  constexpr int kControl = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN;
  std::vector<std::string> texts;
  for (int32_t token = 0; token < llama_vocab_n_tokens(vocabulary_.get()); ++token) {
    const int attributes = llama_vocab_get_attr(vocabulary_.get(), token);
    const std::string text = text_of(token);
    const bool is_named = (attributes & LLAMA_TOKEN_ATTR_USER_DEFINED) != 0 &&
                          text.find_first_not_of(" \t\r\n") != std::string::npos &&
                          chat_template.find(text) != std::string::npos;
    if ((attributes & kControl) != 0 || is_named) texts.push_back(text);
  }
  return texts;
}

std::optional<int32_t> Tokenizer::special(const std::string &text) const {
  const std::vector<int32_t> tokens = tokenize(text, false, true);
  if (tokens.size() != 1 || token_text(tokens[0]) != text) return std::nullopt;
  return tokens[0];
}

std::string Tokenizer::piece(int32_t token, bool keep_special) const {
  std::string bytes(64, '\0');
  const auto call = [&] {
    return llama_token_to_piece(vocabulary_.get(), token, bytes.data(), static_cast<int32_t>(bytes.size()), 0,
                                keep_special);
  };
  int32_t count = call();
  if (count < 0) {
    bytes.resize(static_cast<size_t>(-count));
    count = call();
  }
  bytes.resize(static_cast<size_t>(count < 0 ? 0 : count));
  return bytes;
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
  return token == LLAMA_TOKEN_NULL ? "" : std::string(token_text(token));
}

std::string_view Tokenizer::token_text(int32_t token) const {
  const char *text = llama_vocab_get_text(vocabulary_.get(), token);
  return text == nullptr ? "" : text;
}

}  // namespace se
