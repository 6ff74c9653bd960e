// A grammar that the next tokens must follow: from the start of the answer, or from where a trigger occurs in it.
#pragma once

#include <llama.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "base/json.h"
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
  // INVALID_ARGUMENT if the text is not a valid grammar.
  Grammar(const GrammarOptions &options, const Tokenizer &tokenizer);

  // Whether it holds for the next token.
  bool holds() const { return holds_; }
  // Gives all tokens that cannot come next the logit minus infinity.
  void apply(llama_token_data_array &candidates) const;
  void accept(int32_t token);
  // A lazy one takes no notice of what is said meanwhile.
  void pause(bool is_paused) { is_paused_ = is_paused; }

 private:
  using Handle = std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)>;

  bool is_triggered() const;
  void begin();

  GrammarOptions options_;
  const Tokenizer &tokenizer_;
  Handle sampler_{nullptr, llama_sampler_free};
  bool holds_ = true;
  bool is_paused_ = false;
  // The bytes of a character that is not complete.
  std::string unfinished_;
  // Of a lazy one that does not hold yet: its triggers, and the latest tokens in which to look for them.
  std::vector<std::string> words_;
  std::vector<std::string> expressions_;
  std::vector<std::regex> patterns_;
  std::deque<int32_t> latest_;
  std::string latest_text_;
  bool is_latest_all_ = true;
};

}  // namespace se
