// Whether a text follows a grammar (GBNF), as far as the text is there.
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct llama_grammar;

namespace se {

class GrammarMatch {
 public:
  // INVALID_ARGUMENT if it is not a grammar.
  explicit GrammarMatch(const std::string &grammar);

  // More of the text, in whole characters.
  void add(std::string_view text);
  // Whether it may go on so that it follows the grammar.
  bool holds() const { return holds_; }
  // Whether it follows the grammar as it is.
  bool is_complete() const;

 private:
  struct Free {
    void operator()(llama_grammar *grammar) const;
  };

  std::unique_ptr<llama_grammar, Free> grammar_;
  bool holds_ = true;
};

}  // namespace se
