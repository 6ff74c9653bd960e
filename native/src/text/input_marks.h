// Text of users, tools and documents that looks like a special token stays text: only the template speaks in those.
//
// A chat template mixes its own markup with the text of messages, and llama.cpp's renderer returns one string. So a
// mark, a character that is none, is put into what looks like a special token before it is rendered. It is cut there
// afterwards, and both sides are tokenized on their own.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/json.h"

namespace se {

class InputMarks {
 public:
  // U+FDD0 and U+FDD1, for use inside of programs only.
  static constexpr std::string_view kMark = "\xEF\xB7\x90";
  static constexpr std::string_view kImage = "\xEF\xB7\x91";

  // `specials`: the texts of the tokens that only the template may use.
  explicit InputMarks(const std::vector<std::string> &specials);

  // With a mark behind the first character of everything that is a special token, in whichever case: templates may
  // change that. The same text if there is none. `except`: not where a special token's text contains this.
  std::string mark(std::string_view text, std::string_view except = {}) const;
  // The same for all strings and keys of a document.
  void mark(OrderedJson &document, std::string_view except = {}) const;

  static std::string without(std::string text);

  // Where an image stands, by its number; images are not in what `mark` returns.
  static std::string image(size_t index);
  // A text between images, and the one that follows it, if there is one.
  struct Piece {
    std::string_view text;
    std::optional<size_t> image;
  };
  static std::vector<Piece> pieces(std::string_view marked);

 private:
  bool is_special_at(std::string_view lower, size_t at, std::string_view except) const;

  std::unordered_set<std::string> specials_;  // in lower case
  std::vector<size_t> lengths_;
  std::array<bool, 256> begins_{};  // the bytes that one can begin with
};

}  // namespace se
