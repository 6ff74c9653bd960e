// The grammar of FunctionGemma's values: what a JSON schema allows, in its own notation.
#pragma once

#include <json-schema-to-grammar.h>

#include <string>
#include <vector>

#include "base/json.h"

namespace se {

// The paths of the keywords of a schema that its calls are not held to.
std::vector<std::string> not_held_to(const OrderedJson &schema, const std::string &path = "#");

class FunctionGemmaGrammar {
 public:
  explicit FunctionGemmaGrammar(const common_grammar_builder &builder) : builder_(builder) {}

  // The name of a rule for values of this schema. UNSUPPORTED for schemas that it cannot enforce.
  std::string value(const OrderedJson &schema);

 private:
  std::string added(const std::string &text);
  std::string any_value();
  std::string any_object();
  std::string text();
  std::string json_scalar(const OrderedJson &schema);
  std::string string_of(const OrderedJson &schema);
  std::string array_of(const OrderedJson &schema);
  std::string object_of(const OrderedJson &schema);
  std::string of_type(const std::string &type, const OrderedJson &schema);
  std::string one_of(const OrderedJson &schemas);

  const common_grammar_builder &builder_;
  size_t count_ = 0;
};

}  // namespace se
