// Prompts as stable-diffusion.cpp's tokenizers can read them.
#pragma once

#include <string>

namespace se {

// `prompt`, valid UTF-8, without what is neither a letter nor in the first two planes of Unicode: tags, variation
// selectors, private use. Its tokenizers ask C's isspace() about all that is not a letter, and glibc's reads its table
// at that index unchecked: up to U+1FFFF other tables lie there, beyond nothing may, which ended the process.
std::string readable_prompt(const std::string &prompt);

}  // namespace se
