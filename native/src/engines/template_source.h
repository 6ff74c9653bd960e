// Chat templates as llama.cpp's Jinja engine must be given them.
#pragma once

#include <string>

namespace se {

// Its lexer takes whatever is the first character before a block for a blank to be stripped (`[{% for … %}`). Behind an
// expression without text it is the first one no more. A template that begins with blanks is left as it is: behind
// something else they would no longer be those at the beginning of a line.
inline std::string for_lexer(const std::string &source) {
  const bool begins_with_text = !source.empty() && std::string(" \t\v\f").find(source.front()) == std::string::npos;
  const bool begins_with_block =
      source.size() > 1 && source.front() == '{' && std::string("{%#").find(source[1]) != std::string::npos;
  return begins_with_text && !begins_with_block ? "{{ '' }}" + source : source;
}

}  // namespace se
