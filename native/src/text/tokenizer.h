// Text to token ids and back, by llama.cpp's vocabulary: the one tokenizer of both engines.
#pragma once

#include <llama.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/interrupt.h"
#include "formats/gguf.h"
#include "text/pre_tokenizer.h"

namespace se {

// When to stop dividing a long text: `interrupt` is checked every few hundredths of a second, and nobody needs more
// tokens than `most`; there may be some more. `exact`: the first `most` are used, so that a text which can be cut
// nowhere is divided as a whole; otherwise they only tell that there are too many, and the tokens at both ends may be
// missing.
struct TokenizeLimits {
  const Interrupt &interrupt;
  size_t most = SIZE_MAX;
  bool exact = false;
};

class Tokenizer {
 public:
  // With the vocabulary of a GGUF file and that file's header.
  Tokenizer(std::shared_ptr<const llama_vocab> vocabulary, const GgufHeader &header);
  static Tokenizer from_file(const std::filesystem::path &vocabulary);

  std::vector<int32_t> tokenize(std::string_view text, bool add_special, bool parse_special) const;
  // The same in pieces. The token that a model expects at the end is there also where the rest is left out.
  std::vector<int32_t> tokenize(std::string_view text, bool add_special, bool parse_special,
                                const TokenizeLimits &limits) const;
  // A prompt that a template made: only what is not cut by a mark of InputMarks is a special token. A begin token comes
  // first if the model wants one and the text does not begin with it.
  std::vector<int32_t> tokenize_prompt(std::string_view marked, const TokenizeLimits &limits) const;
  // What follows an image in it.
  std::vector<int32_t> tokenize_after_image(std::string_view marked, const TokenizeLimits &limits) const;
  // The texts of the tokens that only a template may use: control tokens, and those of its other tokens that it names.
  std::vector<std::string> reserved_texts(const std::string &chat_template) const;
  // The bytes of these tokens; not necessarily UTF-8.
  std::string detokenize(std::span<const int32_t> tokens, bool keep_special) const;
  // The bytes that one more token adds to the output; empty for control tokens, unless `keep_special`.
  std::string piece(int32_t token, bool keep_special = false) const;
  // The token whose text this is, if it is a special one.
  std::optional<int32_t> special(const std::string &text) const;

  bool ends_text(int32_t token) const { return llama_vocab_is_eog(vocabulary_.get(), token); }
  uint32_t size() const { return static_cast<uint32_t>(llama_vocab_n_tokens(vocabulary_.get())); }
  // Whether a special token is expected at the end of a text.
  bool adds_end() const {
    return llama_vocab_get_add_eos(vocabulary_.get()) || llama_vocab_get_add_sep(vocabulary_.get());
  }
  // Empty if the model has no such token, as in Qwen: llama.cpp then returns token 11.
  std::string bos_text() const { return has_bos_ ? text_of(llama_vocab_bos(vocabulary_.get())) : ""; }
  std::string eos_text() const { return text_of(llama_vocab_eos(vocabulary_.get())); }
  // The chat template inside the file; empty if there is none.
  const std::string &chat_template() const { return chat_template_; }
  const llama_vocab *vocabulary() const { return vocabulary_.get(); }

  // INVALID_ARGUMENT unless every id is in the vocabulary.
  void check(std::span<const int32_t> tokens) const;

 private:
  struct Special {
    std::string text;
    int32_t token;
    bool always;  // recognized even if special tokens are not parsed
  };

  // Of a text behind another one.
  std::vector<int32_t> tokenize_inside(std::string_view text, bool parse_special) const;
  // `begun`: the tokens of what stands before the first mark.
  std::vector<int32_t> tokenize_marked(std::string_view marked, std::vector<int32_t> begun,
                                       const TokenizeLimits &limits) const;
  // Appends those of a text behind another one, in pieces.
  void append_pieces(std::vector<int32_t> &tokens, std::string_view text, bool parse_special,
                     const TokenizeLimits &limits) const;
  size_t piece_end(std::string_view text, size_t begin, bool parse_special) const;
  // About the first tokens of a long text that can be cut nowhere, if it has certainly more than `room`.
  std::optional<std::vector<int32_t>> too_many(std::string_view text, bool parse_special, const TokenizeLimits &limits,
                                               size_t room) const;
  std::string text_of(int32_t token) const;
  // Of a token that is one.
  std::string_view token_text(int32_t token) const;
  bool lacks_space(std::string_view text, bool parse_special) const;
  // By llama.cpp: all of the text if there is no `before_`.
  void append(std::vector<int32_t> &tokens, std::string_view text, bool add_special, bool parse_special) const;
  // By `before_`: what lies between special tokens.
  void append_prepared(std::vector<int32_t> &tokens, std::string_view text) const;
  // The longest special token that `text` begins with; null if there is none.
  const Special *special_at(std::string_view text, bool parse_special) const;
  std::optional<int32_t> whole_word(const std::string &word) const;

  std::shared_ptr<const llama_vocab> vocabulary_;
  std::string chat_template_;
  // A space is prepended to a text, unless that begins with one or with a special token: Metaspace with the prepend
  // scheme "first" of `tokenizers`, which llama.cpp does not know.
  bool space_first_ = false;
  bool has_bos_ = true;
  // The longest first; and the bytes that one can begin with.
  std::vector<Special> specials_;
  std::array<bool, 256> begins_special_{};
  std::optional<PreTokenizer> before_;
  // Ordinary tokens sorted by their texts, if whole words are kept.
  std::vector<int32_t> by_text_;
};

}  // namespace se
