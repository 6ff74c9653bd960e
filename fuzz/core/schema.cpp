// A JSON schema, and the grammar that is made of it.
#include "target.h"
#include "text/grammar_match.h"
#include "text/schema_grammar.h"

namespace {

const Target schema_target("schema", [](const std::string &data) {
  se::Interrupt interrupt;
  se::GrammarMatch(se::grammar_of_schema(data), interrupt).add("{\"a\": [1, ");
});

}  // namespace
