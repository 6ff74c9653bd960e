// Where in a grammar a text is: all that can come next.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include "base/interrupt.h"
#include "text/parsed_grammar.h"

namespace se {

// A token that may come next.
struct GrammarCandidate {
  size_t index;  // the caller's
  int32_t token;
  std::u32string_view characters;
  // The characters that the one can become inside which the token ends; `least` above `most`: it ends with a character.
  uint32_t least = 1;
  uint32_t most = 0;

  bool ends_inside() const { return least <= most; }
};

using GrammarCandidates = std::vector<GrammarCandidate>;

// The algorithm is that of llama.cpp's llama-grammar.cpp, with bounds: it goes back to `interrupt`, which outlives
// this, and throws INVALID_ARGUMENT where a grammar can go on in too many ways at once.
class GrammarPosition {
 public:
  // At the beginning.
  GrammarPosition(std::shared_ptr<const ParsedGrammar> grammar, const Interrupt &interrupt);

  // Whether the text may go on so that it follows the grammar.
  bool is_possible() const { return !stacks_.empty(); }
  // Whether it follows the grammar as it is.
  bool is_complete() const;
  // Both return `is_possible`.
  bool accept(char32_t character);
  // `characters`: those that the token completes.
  bool accept(int32_t token, std::u32string_view characters);
  // Those that cannot come next.
  GrammarCandidates rejected(GrammarCandidates candidates) const;

 private:
  using Element = llama_grammar_element;
  // One way to go on: the next element is the last one. Empty: nothing follows.
  using Stack = std::vector<const Element *>;
  using Stacks = std::vector<Stack>;

  // The ways to go on from some stacks, each once, with a character or a token next.
  struct Expansion {
    std::set<Stack> seen;
    Stacks found;
    size_t size = 0;  // of `seen`, and of what else is held meanwhile
    size_t found_size = 0;
  };

  // How many characters of its candidates a call of `rejected` is behind, and what the calls around it hold.
  struct Nesting {
    int depth = 0;
    size_t held_size = 0;
  };

  void expand(Stack stack, Expansion &expansion) const;
  void expand_rule(const Stack &stack, std::vector<Stack> &todo) const;
  void accept_in(const Stacks &stacks, char32_t character, Expansion &expansion) const;
  GrammarCandidates rejected(const Stacks &stacks, GrammarCandidates candidates, const Nesting &nesting) const;
  GrammarCandidates rejected(const Stack &stack, const GrammarCandidates &candidates, const Nesting &nesting) const;
  void work(size_t amount) const;

  std::shared_ptr<const ParsedGrammar> grammar_;
  const Interrupt *interrupt_;
  Stacks stacks_;
  mutable size_t work_since_check_ = 0;
};

}  // namespace se
