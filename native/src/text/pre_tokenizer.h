// What a tokenizer does to a text before it looks for tokens: composes characters, and cuts the text into words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"
#include "text/pattern.h"

namespace se {

// llama.cpp composes nothing, and knows some expressions only and these nearly. What sphere_edge/formats/tokenizer.py
// wrote into the file is done here, exactly; other files are left to llama.cpp.
class PreTokenizer {
 public:
  // Of the file with this header; nothing where llama.cpp does all. CORRUPT for what makes no sense.
  static std::optional<PreTokenizer> of(const GgufHeader &header);

  bool cuts() const { return !patterns_.empty(); }
  // Words that are tokens are never put together from smaller ones.
  bool keeps_whole_words() const { return keeps_whole_words_; }

  // `text` composed, where the model wants that.
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
