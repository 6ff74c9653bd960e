// A grammar (GBNF) that was read, within limits: any number of matches share one.
#pragma once

#include <llama-grammar.h>

#include <cstdint>
#include <string>

#include "base/interrupt.h"

namespace se {

class ParsedGrammar {
 public:
  // `vocabulary`: of the tokens that the grammar may name; null: it names none. INVALID_ARGUMENT if the text is no
  // grammar that can be followed, or too large; CANCELLED, TIMEOUT.
  ParsedGrammar(const std::string &text, const llama_vocab *vocabulary, const Interrupt &interrupt);

  // The elements of one rule: its alternatives with LLAMA_GRETYPE_ALT between them and LLAMA_GRETYPE_END behind.
  const llama_grammar_element *rule(uint32_t number) const { return rules_[number].data(); }
  uint32_t root() const { return root_; }

 private:
  llama_grammar_rules rules_;
  uint32_t root_ = 0;
};

}  // namespace se
