// A grammar that the next tokens must follow: from the start of the answer, or from where a trigger occurs in it.
#pragma once

#include <llama.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "base/interrupt.h"
#include "text/grammar_position.h"
#include "text/parsed_grammar.h"
#include "text/tokenizer.h"

namespace se {

// Text after which a lazy grammar begins to hold.
struct GrammarTrigger {
  std::string text;
  bool is_pattern;  // an ECMAScript regular expression
};

struct GrammarOptions {
  std::string text = {};  // GBNF; empty: none
  bool is_lazy = false;
  std::vector<GrammarTrigger> triggers = {};
  // What the grammar begins with and the prompt has already.
  std::string begun = {};
};

class Grammar {
 public:
  // INVALID_ARGUMENT if the text is not a valid grammar; CANCELLED, TIMEOUT, as all other functions: `interrupt`
  // outlives this.
  Grammar(const GrammarOptions &options, const Tokenizer &tokenizer, const Interrupt &interrupt);

  // Whether it holds for the next token.
  bool holds() const { return holds_; }
  // Gives all tokens that cannot come next the logit minus infinity.
  void apply(llama_token_data_array &candidates) const;
  void accept(int32_t token);
  // A lazy one takes no notice of what is said meanwhile.
  void pause(bool is_paused) { is_paused_ = is_paused; }

 private:
  struct Trigger {
    std::string word;
    std::optional<std::regex> pattern;  // in place of the word
  };

  GrammarPosition beginning() const { return {rules_, interrupt_}; }
  bool take(int32_t token, std::string_view text);
  void wait_for_trigger(int32_t token);
  std::optional<size_t> trigger_place() const;
  bool begin_at(size_t place);
  bool decode(std::string_view piece, std::u32string &characters, GrammarCandidate &candidate) const;

  const Tokenizer &tokenizer_;
  const Interrupt &interrupt_;
  std::shared_ptr<const ParsedGrammar> rules_;
  GrammarPosition position_;
  bool holds_;
  bool is_paused_ = false;
  // Since it holds: the bytes of a character that is not complete.
  std::string unfinished_;
  // Of a lazy one that does not hold yet: its triggers, and the latest tokens in which to look for them.
  std::vector<Trigger> triggers_;
  std::deque<int32_t> latest_;
  std::string latest_text_;
  bool is_latest_all_ = true;
};

}  // namespace se
