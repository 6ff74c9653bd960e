// Names of rules are all that stands outside of texts, sets and counts.
#include "text/grammar_text.h"

#include <algorithm>
#include <cctype>

namespace se {
namespace {

bool is_of_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'; }

size_t end_of_name(const std::string &grammar, size_t at) {
  while (at < grammar.size() && is_of_name(grammar[at])) ++at;
  return at;
}

// Behind the text, set or count that begins at `at`, or the single character.
size_t end_of_part(const std::string &grammar, size_t at) {
  const char c = grammar[at];
  if (c != '"' && c != '[' && c != '{') return at + 1;
  const char last = c == '"' ? '"' : c == '[' ? ']' : '}';
  for (++at; at < grammar.size() && grammar[at] != last; ++at) {
    if (grammar[at] == '\\') ++at;
  }
  return std::min(at + 1, grammar.size());
}

std::string with_names_below(const std::string &prefix, const std::string &grammar) {
  std::string made;
  for (size_t at = 0, end = 0; at < grammar.size(); at = end) {
    const bool is_name = is_of_name(grammar[at]);
    end = is_name ? end_of_name(grammar, at) : end_of_part(grammar, at);
    if (is_name) made += prefix;
    made.append(grammar, at, end - at);
  }
  return made;
}

}  // namespace

std::string either_grammar(const std::string &first, const std::string &second) {
  return "root ::= first-root | second-root\n" + with_names_below("first-", first) + "\n" +
         with_names_below("second-", second);
}

void replace_rule(std::string &grammar, const std::string &name, const std::string &text) {
  const std::string head = name + " ::= ";
  const size_t begin = grammar.starts_with(head) ? 0 : grammar.find("\n" + head);
  if (begin == std::string::npos) return;
  const size_t at = grammar.find(head, begin) + head.size();
  grammar.replace(at, std::min(grammar.find('\n', at), grammar.size()) - at, text);
}

}  // namespace se
