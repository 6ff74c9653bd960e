// Holds llama.cpp's grammar sampler. Triggers are looked for here: llama.cpp searches the whole answer at every token.
#include "text/grammar.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <system_error>

#include "base/status.h"
#include "base/utf8.h"
#include "llama-grammar.h"
#include "llama-vocab.h"

namespace se {
namespace {

constexpr size_t kLongestGrammar = 1 << 24;
// The parser descends into each; JSON schemas of nested objects need no brackets.
constexpr int kDeepestBrackets = 256;
// Longer than every trigger of llama.cpp's formats.
constexpr size_t kLatestBytes = 512;

size_t after_space(const std::string &grammar, size_t at) {
  while (at < grammar.size() && (std::isspace(static_cast<unsigned char>(grammar[at])) != 0 || grammar[at] == '#')) {
    if (grammar[at] == '#') at = std::min(grammar.find('\n', at), grammar.size() - 1);
    ++at;
  }
  return at;
}

// The number at `at`, which moves behind it; none where there are no digits or too many.
std::optional<uint64_t> count_at(const std::string &grammar, size_t &at) {
  uint64_t count = 0;
  const char *begin = grammar.data() + at;
  const auto [end, error] = std::from_chars(begin, grammar.data() + grammar.size(), count);
  at += static_cast<size_t>(end - begin);
  if (error != std::errc()) return std::nullopt;
  return count;
}

// llama.cpp's parser subtracts the first number of {m,n} from the second one, and adds that many rules.
void check_repetition(const std::string &grammar, size_t at) {
  at = after_space(grammar, at);
  const std::optional<uint64_t> least = count_at(grammar, at);
  at = after_space(grammar, at);
  if (!least || at >= grammar.size() || grammar[at] != ',') return;
  at = after_space(grammar, at + 1);
  const std::optional<uint64_t> most = count_at(grammar, at);
  require(!most || *least <= *most, "the grammar repeats something at least " + ticked(*least) + " and at most " +
                                        ticked(most.value_or(0)) + " times");
}

void check_brackets(const std::string &grammar) {
  require(grammar.size() <= kLongestGrammar, "the grammar has more than " + ticked(kLongestGrammar) + " bytes");
  int depth = 0;
  char inside = 0;  // the character that ends a string, a set, a token or a comment
  for (size_t i = 0; i < grammar.size(); ++i) {
    const char c = grammar[i];
    if (inside != 0) {
      if (c == '\\' && (inside == '"' || inside == ']')) ++i;
      if (c == inside) inside = 0;
    } else if (c == '"' || c == '#' || c == '[' || c == '<') {
      inside = c == '"' ? '"' : c == '[' ? ']' : c == '<' ? '>' : '\n';
    } else if (c == '(') {
      require(++depth <= kDeepestBrackets,
              "the grammar has brackets nested more than " + ticked(kDeepestBrackets) + " deep");
    } else if (c == ')') {
      --depth;
    } else if (c == '{') {
      check_repetition(grammar, i + 1);
    }
  }
}

// llama_sampler_init_grammar reports syntax errors only on stderr; its parser, called rule by rule, throws them.
void check_grammar(const std::string &grammar, const llama_vocab *vocabulary) {
  check_brackets(grammar);
  llama_grammar_parser parser(vocabulary);
  const char *rest = grammar.c_str();
  while (*rest != '\0' && (std::isspace(static_cast<unsigned char>(*rest)) != 0)) ++rest;
  try {
    while (*rest != '\0' && *rest != '#') rest = parser.parse_rule(rest);
  } catch (const std::exception &error) {
    std::string problem = error.what();
    if (problem.size() > 120) problem = problem.substr(0, 120) + "…";
    throw Error(SE_INVALID_ARGUMENT, "the grammar cannot be read: " + problem);
  }
  require(parser.symbol_ids.contains("root"), "the grammar has no rule `root`");
  for (const auto &[name, id] : parser.symbol_ids) {
    require(id < parser.rules.size() && !parser.rules[id].empty(), "the grammar has no rule " + ticked(name));
  }
}

std::string escaped(const std::string &text) {
  std::string made;
  for (const char c : text) {
    if (std::string_view(".^$|()*+?[]{}\\").find(c) != std::string_view::npos) made += '\\';
    made += c;
  }
  return made;
}

}  // namespace

Grammar::Grammar(const GrammarOptions &options, const Tokenizer &tokenizer) : options_(options), tokenizer_(tokenizer) {
  check_grammar(options_.text, tokenizer_.vocabulary());
  for (const GrammarTrigger &trigger : options_.triggers) {
    expressions_.push_back(trigger.is_pattern ? trigger.text : escaped(trigger.text));
    if (trigger.is_pattern) {
      patterns_.emplace_back(trigger.text);
    } else {
      words_.push_back(trigger.text);
    }
  }
  begin();
  if (options_.is_lazy) return;
  const std::vector<int32_t> begun = tokenizer_.tokenize(options_.begun, false, true);
  for (size_t i = 0; i < begun.size(); ++i) {
    // Some tokenizers put a space before the first special token.
    const std::string piece = tokenizer_.piece(begun[i], true);
    if (i == 0 && piece == " " && options_.begun.front() != ' ') continue;
    llama_sampler_accept(sampler_.get(), begun[i]);
  }
}

void Grammar::apply(llama_token_data_array &candidates) const {
  llama_sampler_apply(sampler_.get(), &candidates);
  // llama.cpp also takes overlong forms and what lies beyond U+10FFFF for a character.
  const llama_vocab &vocabulary = *tokenizer_.vocabulary();
  for (size_t i = 0; i < candidates.size; ++i) {
    llama_token_data &one = candidates.data[i];
    if (std::isinf(one.logit)) continue;
    const bool ends_inside = !unfinished_.empty() && tokenizer_.ends_text(one.id);
    // By reference: all of a vocabulary may be left.
    if (ends_inside || !is_utf8_so_far(unfinished_, vocabulary.token_to_piece(one.id))) one.logit = -INFINITY;
  }
}

void Grammar::begin() {
  const llama_vocab *vocabulary = tokenizer_.vocabulary();
  std::vector<const char *> patterns;
  for (const std::string &expression : expressions_) patterns.push_back(expression.c_str());
  holds_ = !options_.is_lazy;
  sampler_.reset(options_.is_lazy
                     ? llama_sampler_init_grammar_lazy_patterns(vocabulary, options_.text.c_str(), "root",
                                                                patterns.data(), patterns.size(), nullptr, 0)
                     : llama_sampler_init_grammar(vocabulary, options_.text.c_str(), "root"));
  require(sampler_ != nullptr, "the grammar is not supported",
          "rules that begin with themselves (left recursion) are not supported");
}

void Grammar::accept(int32_t token) {
  unfinished_ += tokenizer_.piece(token, true);
  take_characters(unfinished_, false);
  if (holds_) {
    llama_sampler_accept(sampler_.get(), token);
    return;
  }
  if (is_paused_) return;
  latest_.push_back(token);
  latest_text_ += tokenizer_.piece(token, true);
  while (latest_text_.size() > kLatestBytes && latest_.size() > 1) {
    latest_text_.erase(0, tokenizer_.piece(latest_.front(), true).size());
    latest_.pop_front();
    is_latest_all_ = false;
  }
  if (!is_triggered()) return;
  try {
    // It finds the trigger in these few tokens, and begins there.
    for (const int32_t one : latest_) llama_sampler_accept(sampler_.get(), one);
    holds_ = true;
  } catch (const std::exception &) {
    // The token that ended the trigger goes on with something else, so that this is not what the grammar is for.
    begin();
    latest_.clear();
    latest_text_.clear();
    is_latest_all_ = false;
  }
}

bool Grammar::is_triggered() const {
  const auto contains = [&](const std::string &word) { return latest_text_.find(word) != std::string::npos; };
  if (std::any_of(words_.begin(), words_.end(), contains)) return true;
  // In ECMAScript's expressions `^` also is where the latest text begins; it is meant for the answer's beginning.
  const auto flags = is_latest_all_ ? std::regex_constants::match_default : std::regex_constants::match_not_bol;
  return std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const std::regex &pattern) { return std::regex_search(latest_text_, pattern, flags); });
}

}  // namespace se
