// Rules of one of llama.cpp's grammars (GBNF), as they are made.
#pragma once

#include <map>
#include <string>

namespace se {

// Rules of one grammar, each text once.
class GrammarRules {
 public:
  // A name that no other rule has.
  std::string fresh() { return "schema-" + std::to_string(count_++); }
  // INVALID_ARGUMENT where a grammar becomes larger than any that is of use.
  void set(const std::string &name, const std::string &text);
  // The name of a rule with this text.
  std::string add(const std::string &text);
  // White space between two parts, a string of any characters, a value of any kind and so on.
  std::string shared(const std::string &name);
  // The whole grammar.
  std::string text() const;
  bool has(const std::string &name) const { return rules_.contains(name); }

 private:
  std::map<std::string, std::string> rules_;
  std::map<std::string, std::string> names_;
  size_t count_ = 0;
  size_t bytes_ = 0;
};

}  // namespace se
