// Characters as the Unicode Standard has them: categories, white space, and composition (normalization form C).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace se::unicode {

// One bit for each general category.
using CategorySet = uint32_t;

// The category or group of categories called `name`, as Lu or L; nothing where there is none.
std::optional<CategorySet> categories(std::string_view name);

// The category of one code point, as a set of one; of what is none that of unassigned ones.
CategorySet category(char32_t code);

// The property White_Space, which regular expressions call \s.
bool is_space(char32_t code);

// The code points of `bytes`; what is no UTF-8 becomes U+FFFD.
std::u32string decoded(std::string_view bytes);
void append_utf8(std::string &bytes, char32_t code);

// `text` in normalization form C (Unicode Standard Annex 15).
std::u32string composed(std::u32string_view text);

}  // namespace se::unicode
