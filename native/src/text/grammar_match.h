// Whether a text follows a grammar (GBNF), as far as the text is there.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/interrupt.h"
#include "text/grammar_position.h"
#include "text/parsed_grammar.h"
#include "text/unicode.h"

namespace se {

// Copies share the grammar.
class GrammarMatch {
 public:
  // INVALID_ARGUMENT if it is not a grammar; CANCELLED, TIMEOUT, as `add`: `interrupt` outlives this.
  GrammarMatch(const std::string &grammar, const Interrupt &interrupt)
      : position_(std::make_shared<const ParsedGrammar>(grammar, nullptr, interrupt), interrupt) {}

  // More of the text, in whole characters.
  void add(std::string_view text) {
    for (const char32_t character : unicode::decoded(text)) {
      if (!position_.accept(character)) return;
    }
  }
  // Whether it may go on so that it follows the grammar.
  bool holds() const { return position_.is_possible(); }
  // Whether it follows the grammar as it is.
  bool is_complete() const { return position_.is_complete(); }

 private:
  GrammarPosition position_;
};

}  // namespace se
