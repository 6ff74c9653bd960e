// Stacks of what is still to come, as llama.cpp has them.
#include "text/grammar_position.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace se {
namespace {

// Of all ways to go on at one place, and at those that the characters of a token lead to from there, with eight
// pointers' worth for each: a hundred megabytes.
constexpr size_t kMostStackElements = 1 << 22;
constexpr size_t kElementsPerStack = 8;
// Each character of a token is a nested call; no token of use is longer.
constexpr int kLongestToken = 512;
constexpr size_t kWorkPerCheck = 4096;

bool ends_alternative(const llama_grammar_element *element) {
  return element->type == LLAMA_GRETYPE_END || element->type == LLAMA_GRETYPE_ALT;
}

bool is_of_tokens(const llama_grammar_element *element) {
  return element->type == LLAMA_GRETYPE_TOKEN || element->type == LLAMA_GRETYPE_TOKEN_NOT;
}

bool holds_token(const llama_grammar_element *element, int32_t token) {
  return (element->value == static_cast<uint32_t>(token)) == (element->type == LLAMA_GRETYPE_TOKEN);
}

// The element behind a set of characters.
const llama_grammar_element *after_set(const llama_grammar_element *element) {
  do {
    element += element[1].type == LLAMA_GRETYPE_CHAR_RNG_UPPER ? 2 : 1;
  } while (element->type == LLAMA_GRETYPE_CHAR_ALT);
  return element;
}

// Whether some, or the only, character from `least` to `most` is in the set.
bool set_holds(const llama_grammar_element *element, uint32_t least, uint32_t most) {
  const bool is_positive = element->type != LLAMA_GRETYPE_CHAR_NOT;
  do {
    const bool is_range = element[1].type == LLAMA_GRETYPE_CHAR_RNG_UPPER;
    const uint32_t last = is_range ? element[1].value : element->value;
    if (element->type == LLAMA_GRETYPE_CHAR_ANY || (element->value <= most && least <= last)) return is_positive;
    element += is_range ? 2 : 1;
  } while (element->type == LLAMA_GRETYPE_CHAR_ALT);
  return !is_positive;
}

using GrammarStack = std::vector<const llama_grammar_element *>;

// `stack` when `element` of the rule on its top is next.
GrammarStack with_top(const GrammarStack &stack, const llama_grammar_element *element) {
  GrammarStack made(stack.begin(), stack.end() - 1);
  if (!ends_alternative(element)) made.push_back(element);
  return made;
}

}  // namespace

GrammarPosition::GrammarPosition(std::shared_ptr<const ParsedGrammar> grammar, const Interrupt &interrupt)
    : grammar_(std::move(grammar)), interrupt_(&interrupt) {
  const Element root[] = {{LLAMA_GRETYPE_RULE_REF, grammar_->root()}, {LLAMA_GRETYPE_END, 0}};
  Expansion expansion;
  expand({root}, expansion);
  stacks_ = std::move(expansion.found);
}

bool GrammarPosition::is_complete() const {
  return std::any_of(stacks_.begin(), stacks_.end(), [](const Stack &stack) { return stack.empty(); });
}

bool GrammarPosition::accept(char32_t character) {
  Expansion expansion;
  accept_in(stacks_, character, expansion);
  stacks_ = std::move(expansion.found);
  return is_possible();
}

bool GrammarPosition::accept(int32_t token, std::u32string_view characters) {
  Expansion by_token;
  Stacks by_characters;
  for (Stack &stack : stacks_) {
    if (stack.empty() || !is_of_tokens(stack.back())) {
      by_characters.push_back(std::move(stack));
    } else if (holds_token(stack.back(), token)) {
      expand(with_top(stack, stack.back() + 1), by_token);
    }
  }
  for (const char32_t character : characters) {
    Expansion expansion;
    accept_in(by_characters, character, expansion);
    by_characters = std::move(expansion.found);
  }
  for (Stack &stack : by_characters) expand(std::move(stack), by_token);
  stacks_ = std::move(by_token.found);
  return is_possible();
}

GrammarCandidates GrammarPosition::rejected(GrammarCandidates candidates) const {
  return rejected(stacks_, std::move(candidates), Nesting());
}

void GrammarPosition::expand(Stack stack, Expansion &expansion) const {
  std::vector<Stack> todo;
  todo.push_back(std::move(stack));
  while (!todo.empty()) {
    const auto [place, is_new] = expansion.seen.insert(std::move(todo.back()));
    todo.pop_back();
    if (!is_new) continue;
    const size_t size = place->size() + kElementsPerStack;
    expansion.size += size;
    work(size);
    if (expansion.size > kMostStackElements) {
      throw Error(SE_INVALID_ARGUMENT, "the grammar can go on in too many ways at one place",
                  "leave out parts that may be empty, or alternatives");
    }
    if (place->empty() || place->back()->type != LLAMA_GRETYPE_RULE_REF) {
      expansion.found.push_back(*place);
      expansion.found_size += size;
    } else {
      expand_rule(*place, todo);
    }
  }
}

void GrammarPosition::expand_rule(const Stack &stack, std::vector<Stack> &todo) const {
  const Stack behind = with_top(stack, stack.back() + 1);
  const Element *element = grammar_->rule(stack.back()->value);
  while (true) {
    work(behind.size() + kElementsPerStack);
    todo.push_back(behind);
    if (!ends_alternative(element)) todo.back().push_back(element);
    while (!ends_alternative(element)) ++element;
    if (element->type == LLAMA_GRETYPE_END) return;
    ++element;
  }
}

void GrammarPosition::accept_in(const Stacks &stacks, char32_t character, Expansion &expansion) const {
  for (const Stack &stack : stacks) {
    work(1);
    if (stack.empty() || is_of_tokens(stack.back()) || !set_holds(stack.back(), character, character)) continue;
    expand(with_top(stack, after_set(stack.back())), expansion);
  }
}

GrammarCandidates GrammarPosition::rejected(const Stacks &stacks, GrammarCandidates candidates,
                                            const Nesting &nesting) const {
  for (const Stack &stack : stacks) {
    if (candidates.empty()) break;
    candidates = rejected(stack, candidates, nesting);
  }
  return candidates;
}

GrammarCandidates GrammarPosition::rejected(const Stack &stack, const GrammarCandidates &candidates,
                                            const Nesting &nesting) const {
  GrammarCandidates rejects, next;
  const Element *top = stack.empty() ? nullptr : stack.back();
  const bool is_of_characters = top != nullptr && !is_of_tokens(top);
  bool has_more = false;
  work(candidates.size());
  for (const GrammarCandidate &one : candidates) {
    if (one.characters.empty()) {
      // Its text is over.
      const bool may_end = !one.ends_inside() || (is_of_characters && set_holds(top, one.least, one.most));
      if (!may_end) rejects.push_back(one);
    } else if (is_of_characters && set_holds(top, one.characters.front(), one.characters.front())) {
      next.push_back(one);
      next.back().characters.remove_prefix(1);
      has_more = has_more || !next.back().characters.empty() || one.ends_inside();
    } else if (is_of_characters || top == nullptr || nesting.depth > 0 || !holds_token(top, one.token)) {
      rejects.push_back(one);
    }
  }
  if (!has_more) return rejects;
  Expansion expansion;
  expansion.size = nesting.held_size;
  if (nesting.depth < kLongestToken) expand(with_top(stack, after_set(top)), expansion);
  expansion.seen.clear();
  const Nesting inner = {nesting.depth + 1, nesting.held_size + expansion.found_size};
  for (GrammarCandidate &one : rejected(expansion.found, std::move(next), inner)) {
    one.characters = {one.characters.data() - 1, one.characters.size() + 1};
    rejects.push_back(one);
  }
  return rejects;
}

// Looks at the interrupt after some of it.
void GrammarPosition::work(size_t amount) const {
  work_since_check_ += amount;
  if (work_since_check_ < kWorkPerCheck) return;
  work_since_check_ = 0;
  interrupt_->check();
}

}  // namespace se
