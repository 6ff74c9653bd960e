// The patterns of JSON schemas, ECMAScript's regular expressions in their Unicode mode, as far as they are regular.
#pragma once

#include <string>

#include "text/regex.h"

namespace se {

// Why a pattern cannot be followed, as the end of a sentence.
struct PatternProblem {
  std::string why;
};

// All texts in which `pattern` is found; without `^` and `$` it may stand anywhere. Throws PatternProblem.
RegexBuilder::Id pattern_expression(RegexBuilder &builder, const std::string &pattern);

}  // namespace se
