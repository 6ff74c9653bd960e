// Characters as the Unicode Standard has them: categories, white space, and composition (normalization form C).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace se::unicode {

// One bit for each general category.
using CategorySet = uint32_t;

// The category or group of categories called `name`, such as Lu or L; nothing if there is none.
std::optional<CategorySet> categories(std::string_view name);

// The category of one code point, as a set of one; beyond U+10FFFF that of unassigned ones.
CategorySet category(char32_t code);

// The property White_Space, which regular expressions call \s.
bool is_space(char32_t code);

// The code points of `bytes`; bytes that are not UTF-8 become U+FFFD.
std::u32string decoded(std::string_view bytes);
void append_utf8(std::string &bytes, char32_t code);

// `text` in normalization form C (Unicode Standard Annex 15).
std::u32string composed(std::u32string_view text);

}  // namespace se::unicode
