// Graphs of schemas as llama.cpp's grammars (GBNF), exactly: what follows the grammar follows the schema.
#pragma once

#include <string>

#include "text/grammar_rules.h"
#include "text/schema_graph.h"

namespace se {

// The rule of one node or of one of its alternatives, with all rules that those need.
std::string rule_of_schema(GrammarRules &rules, const schema::Graph &graph, schema::NodeNumber node);
std::string rule_of_alternative(GrammarRules &rules, const schema::Graph &graph, const schema::Alternative &one);

// The grammar of a JSON schema, strictly. INVALID_ARGUMENT as `read_schema` has it, or if the text is not JSON.
std::string grammar_of_schema(const std::string &json_schema);

}  // namespace se
