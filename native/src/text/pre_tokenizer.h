// What a tokenizer does to a text before it looks for tokens: it composes characters and splits the text into words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"
#include "text/pattern.h"

namespace se {

// llama.cpp does not compose characters, and supports only some expressions, and those approximately. What
// sphere_edge/formats/tokenizer.py wrote into the file is done here exactly; other files are left to llama.cpp.
class PreTokenizer {
 public:
  // Of the file with this header; nothing if llama.cpp does it all. MODEL_CORRUPT for invalid metadata.
  static std::optional<PreTokenizer> of(const GgufHeader &header);

  bool cuts() const { return !patterns_.empty(); }
  // Words that are tokens are never merged from smaller ones.
  bool keeps_whole_words() const { return keeps_whole_words_; }

  // `text` composed, if the model needs that.
  std::string composed(std::string_view text) const;
  // The words of `text`, each as byte-level BPE spells it: a letter for each byte.
  std::vector<std::string> words(std::string_view text) const;

 private:
  std::u32string prepared(std::string_view text) const;

  bool composes_ = false;
  bool keeps_whole_words_ = false;
  std::vector<Pattern> patterns_;
};

}  // namespace se
