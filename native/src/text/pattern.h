// Regular expressions with which tokenizers split text, matched as Oniguruma does in the `tokenizers` library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/unicode.h"

namespace se {

// Characters: categories and ranges, or all but these.
struct CharacterSet {
  bool is_negated = false;
  bool has_spaces = false;
  bool has_others_than_spaces = false;
  unicode::CategorySet categories = 0;
  std::vector<std::pair<char32_t, char32_t>> ranges;

  bool has(char32_t code) const;
};

class Pattern {
 public:
  // UNSUPPORTED, with the expression, if it has something that is not known here.
  explicit Pattern(std::string_view expression);

  // The ends of all pieces of `text`: the matches and what lies between them. UNSUPPORTED: over a limit.
  std::vector<size_t> ends(std::u32string_view text) const;

 private:
  friend class PatternParser;
  // `run`: between `least` and `most` characters of a set; `split`: goes on at the next instruction or else at
  // `target`; `look`, `atomic`: what follows up to `done` is matched for itself, then on at `target`.
  enum class Operation : uint8_t { run, split, jump, look, look_not, atomic, line_end, done };
  struct Instruction {
    Operation operation;
    int32_t target = 0;  // relative to this instruction
    uint32_t set = 0;
    size_t least = 0, most = 0;
  };

  // What matching a text may still use: steps, and how many choices exist now.
  struct Run {
    std::u32string_view text;
    size_t steps;
    size_t choices;
  };

  std::optional<size_t> match(Run &run, size_t begin, size_t program) const;
  [[noreturn]] void refuse(const char *problem) const;

  std::string expression_;
  std::vector<CharacterSet> sets_;
  std::vector<Instruction> program_;
};

}  // namespace se
