// Grammars (GBNF) that are there already, as texts: two become one, and rules are replaced.
#pragma once

#include <string>

namespace se {

// What follows either of two grammars; each has a rule `root`.
std::string either_grammar(const std::string &first, const std::string &second);

// Gives the rule `name` another text, if there is one of this name. Each rule is one line.
void replace_rule(std::string &grammar, const std::string &name, const std::string &text);

}  // namespace se
