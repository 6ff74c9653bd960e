// By llama.cpp's parser, rule by rule: it has no limits of its own, and reports errors only on stderr.
//
// What llama.cpp does with rules that were read is done anew here and in grammar_position.cpp: it looks for left
// recursion by recursion, along every path, which never ends for a few hundred bytes of hostile text.
#include "text/parsed_grammar.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/utf8.h"

namespace se {
namespace {

constexpr size_t kLongestGrammar = 1 << 24;
// The parser descends into each; JSON schemas of nested objects need no brackets.
constexpr int kDeepestBrackets = 256;
// The parser writes out what is repeated: elements of rules, or rules of about as many bytes as sixteen elements have.
constexpr uint64_t kMostRepeated = 1 << 24;
constexpr uint64_t kElementsOfRule = 16;
// It takes no larger numbers for more than without end.
constexpr uint64_t kMostTimes = 2000;
// Where it ends a comment.
constexpr std::string_view kLineEnds = "\r\n";

// What the parser is about to do with a text, from its brackets and counts alone. Strings, sets and comments end here
// where they end for the parser, or they would hide both.
class GrammarShape {
 public:
  explicit GrammarShape(const std::string &text) : text_(text) {}

  void check() {
    require(text_.size() <= kLongestGrammar, "the grammar has more than " + ticked(kLongestGrammar) + " bytes");
    // The parser takes a quotation mark behind half a character for a part of it.
    require(to_utf8(text_) == text_, "the grammar is not valid UTF-8");
    int depth = 0;
    for (size_t at = 0; at < text_.size(); ++at) {
      const char c = text_[at];
      if (c == '"' || c == '#' || c == '[' || c == '<') {
        const size_t end = end_of_part(at);
        if (c == '"' || c == '[') item_elements_ = end - at;
        at = end;
      } else if (c == '(') {
        require(++depth <= kDeepestBrackets,
                "the grammar has brackets nested more than " + ticked(kDeepestBrackets) + " deep");
      } else if (c == ')') {
        --depth;
        item_elements_ = kElementsOfRule;
      } else if (c == '{') {
        check_repetition(at + 1);
      } else if (std::isspace(static_cast<unsigned char>(c)) == 0) {
        item_elements_ = kElementsOfRule;
      }
    }
  }

 private:
  // Where the string, set, token or comment ends that begins at `at`.
  size_t end_of_part(size_t at) const {
    const char c = text_[at];
    const std::string_view ends = c == '"' ? "\"" : c == '[' ? "]" : c == '<' ? ">" : kLineEnds;
    for (++at; at < text_.size() && ends.find(text_[at]) == std::string_view::npos; ++at) {
      if (text_[at] == '\\' && (c == '"' || c == '[')) ++at;
    }
    return at;
  }

  size_t after_space(size_t at) const {
    while (at < text_.size() && (std::isspace(static_cast<unsigned char>(text_[at])) != 0 || text_[at] == '#')) {
      if (text_[at] == '#') at = std::min(text_.find_first_of(kLineEnds, at), text_.size() - 1);
      ++at;
    }
    return at;
  }

  // The number at `at`, which moves behind it; none where there are no digits or too many.
  std::optional<uint64_t> count_at(size_t &at) const {
    uint64_t count = 0;
    const char *begin = text_.data() + at;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), count);
    at += static_cast<size_t>(end - begin);
    if (error != std::errc()) return std::nullopt;
    return count;
  }

  // llama.cpp's parser subtracts the first number of {m,n} from the second one, and adds that many rules.
  void check_repetition(size_t at) {
    at = after_space(at);
    const std::optional<uint64_t> least = count_at(at);
    if (!least) return;
    at = after_space(at);
    std::optional<uint64_t> most;
    if (at < text_.size() && text_[at] == ',') {
      at = after_space(at + 1);
      most = count_at(at);
      require(!most || *least <= *most, "the grammar repeats something at least " + ticked(*least) + " and at most " +
                                            ticked(most.value_or(0)) + " times");
    }
    const uint64_t more = most.value_or(*least) - *least;
    repeated_ += std::min(*least, kMostTimes) * item_elements_ + std::min(more, kMostTimes) * kElementsOfRule;
    require(repeated_ <= kMostRepeated, "the grammar repeats too much", "repeat less often, or less");
  }

  const std::string &text_;
  // Of what a count may follow.
  uint64_t item_elements_ = kElementsOfRule;
  uint64_t repeated_ = 0;
};

bool ends_alternative(const llama_grammar_element &element) {
  return element.type == LLAMA_GRETYPE_END || element.type == LLAMA_GRETYPE_ALT;
}

bool has_empty_alternative(const llama_grammar_rule &rule) {
  bool is_begin = true;
  for (const llama_grammar_element &element : rule) {
    if (ends_alternative(element) && is_begin) return true;
    is_begin = ends_alternative(element);
  }
  return false;
}

// Whether a rule comes to itself before anything was said. As llama.cpp has it, only an alternative without anything
// counts as empty: what is missed goes on for ever, which GrammarPosition notices.
class LeftRecursion {
 public:
  explicit LeftRecursion(const llama_grammar_rules &rules) : rules_(rules), states_(rules.size(), State::unseen) {
    for (const llama_grammar_rule &rule : rules) is_empty_.push_back(has_empty_alternative(rule));
  }

  bool found(const Interrupt &interrupt) {
    for (uint32_t number = 0; number < rules_.size(); ++number) {
      if (states_[number] == State::unseen && found_from(number, interrupt)) return true;
    }
    return false;
  }

 private:
  enum class State : uint8_t { unseen, open, done };
  struct Visit {
    uint32_t number;
    std::vector<uint32_t> begins;  // the rules that it can begin with, and are not looked at
  };

  bool found_from(uint32_t first, const Interrupt &interrupt) {
    std::vector<Visit> path;
    const auto open = [&](uint32_t number) {
      states_[number] = State::open;
      path.push_back({number, begins_of(rules_[number])});
    };
    open(first);
    while (!path.empty()) {
      interrupt.check();
      Visit &last = path.back();
      if (last.begins.empty()) {
        states_[last.number] = State::done;
        path.pop_back();
        continue;
      }
      const uint32_t next = last.begins.back();
      last.begins.pop_back();
      if (states_[next] == State::open) return true;
      if (states_[next] == State::unseen) open(next);
    }
    return false;
  }

  std::vector<uint32_t> begins_of(const llama_grammar_rule &rule) const {
    std::vector<uint32_t> begins;
    bool is_begin = true;
    for (const llama_grammar_element &element : rule) {
      const bool is_rule = element.type == LLAMA_GRETYPE_RULE_REF;
      if (is_rule && is_begin) begins.push_back(element.value);
      is_begin = ends_alternative(element) || (is_begin && is_rule && is_empty_[element.value]);
    }
    return begins;
  }

  const llama_grammar_rules &rules_;
  std::vector<bool> is_empty_;
  std::vector<State> states_;
};

void read(const std::string &text, llama_grammar_parser &parser, const Interrupt &interrupt) {
  const char *rest = text.c_str();
  while (*rest != '\0' && (std::isspace(static_cast<unsigned char>(*rest)) != 0)) ++rest;
  try {
    while (*rest != '\0' && *rest != '#') {
      interrupt.check();
      rest = parser.parse_rule(rest);
    }
  } catch (const Error &) {
    throw;
  } catch (const std::exception &error) {
    std::string problem = error.what();
    if (problem.size() > 120) problem = problem.substr(0, 120) + "…";
    throw Error(SE_INVALID_ARGUMENT, "the grammar cannot be read: " + problem);
  }
}

}  // namespace

ParsedGrammar::ParsedGrammar(const std::string &text, const llama_vocab *vocabulary, const Interrupt &interrupt) {
  GrammarShape(text).check();
  llama_grammar_parser parser(vocabulary);
  read(text, parser, interrupt);
  const auto root = parser.symbol_ids.find("root");
  require(root != parser.symbol_ids.end(), "the grammar has no rule `root`");
  for (const auto &[name, id] : parser.symbol_ids) {
    require(id < parser.rules.size() && !parser.rules[id].empty(), "the grammar has no rule " + ticked(name));
  }
  root_ = root->second;
  rules_ = std::move(parser.rules);
  require(!LeftRecursion(rules_).found(interrupt), "the grammar is not supported",
          "rules that begin with themselves (left recursion) are not supported");
}

}  // namespace se
