// The rules of values of any kind are made when one is asked for.
#include "text/grammar_rules.h"

#include <utility>
#include <vector>

#include "base/status.h"

namespace se {
namespace {

// llama.cpp's parser of grammars takes some forty times as much.
constexpr size_t kMostBytes = 8u << 20;

// Surrogates only in pairs: alone they are no characters.
constexpr char kEscapedCharacter[] = R"(( [0-9abcefABCEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2} | )"
                                     R"([dD] [89abAB] [0-9a-fA-F]{2} "\\u" [dD] [c-fC-F] [0-9a-fA-F]{2} ))";

}  // namespace

void GrammarRules::set(const std::string &name, const std::string &text) {
  bytes_ += name.size() + text.size();
  require(bytes_ <= kMostBytes, "the JSON schema is too large for a grammar", "make it smaller");
  rules_[name] = text;
}

std::string GrammarRules::add(const std::string &text) {
  const auto [found, is_new] = names_.try_emplace(text);
  if (is_new) {
    found->second = fresh();
    set(found->second, text);
  }
  return found->second;
}

std::string GrammarRules::shared(const std::string &name) {
  if (has(name)) return name;
  static const std::map<std::string, std::pair<std::string, std::vector<std::string>>> known = {
      {"space", {R"(| " " | "\n"{1,2} [ \t]{0,20})", {}}},
      {"schema-char",
       {std::string(R"([\x20-\x21\x23-\x5B\x5D-\x7E\x80-\uD7FF\uE000-\U0010FFFF] | "\\" (["\\/bfnrt] | "u" )") +
            kEscapedCharacter + ")",
        {}}},
      {"schema-string", {R"("\"" schema-char* "\"")", {"schema-char"}}},
      {"schema-integer", {R"("-"? ("0" | [1-9] [0-9]{0,15}))", {}}},
      {"schema-number", {R"(schema-integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?)", {"schema-integer"}}},
      {"schema-array", {R"("[" space (schema-value ("," space schema-value)*)? space "]")", {"space", "schema-value"}}},
      {"schema-object",
       {R"("{" space (schema-string space ":" space schema-value ("," space schema-string space ":" space schema-value)*)? )"
        R"(space "}")",
        {"space", "schema-string", "schema-value"}}},
      {"schema-value",
       {R"(schema-object | schema-array | schema-string | schema-number | "true" | "false" | "null")",
        {"schema-object", "schema-array", "schema-string", "schema-number"}}}};
  const auto &[text, parts] = known.at(name);
  set(name, text);
  for (const std::string &part : parts) shared(part);
  return name;
}

std::string GrammarRules::text() const {
  std::string all;
  for (const auto &[name, rule] : rules_) all += name + " ::= " + rule + "\n";
  return all;
}

}  // namespace se
