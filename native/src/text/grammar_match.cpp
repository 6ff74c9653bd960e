// By llama.cpp's matcher, which the sampler has as well.
#include "text/grammar_match.h"

#include <llama-grammar.h>

#include <algorithm>

#include "base/status.h"
#include "text/unicode.h"

namespace se {

void GrammarMatch::Free::operator()(llama_grammar *grammar) const { llama_grammar_free_impl(grammar); }

GrammarMatch::GrammarMatch(const std::string &grammar)
    : grammar_(llama_grammar_init_impl(nullptr, grammar.c_str(), "root", false, nullptr, 0, nullptr, 0)) {
  require(grammar_ != nullptr, "the grammar of an answer cannot be read");
}

void GrammarMatch::add(std::string_view text) {
  if (!holds_) return;
  for (const char32_t character : unicode::decoded(text)) {
    llama_grammar_accept(grammar_.get(), character);
    holds_ = !llama_grammar_get_stacks(grammar_.get()).empty();
    if (!holds_) return;
  }
}

bool GrammarMatch::is_complete() const {
  const llama_grammar_stacks &stacks = llama_grammar_get_stacks(grammar_.get());
  return holds_ &&
         std::any_of(stacks.begin(), stacks.end(), [](const llama_grammar_stack &stack) { return stack.empty(); });
}

}  // namespace se
