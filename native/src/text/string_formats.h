// The formats of strings that answers are held to, as patterns.
#pragma once

#include <optional>
#include <string>

namespace se {

// The texts of `format`, or of those the usual ones: nothing for formats that only say what a text means.
std::optional<std::string> pattern_of_format(const std::string &format);

}  // namespace se
