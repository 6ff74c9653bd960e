// UTF-8 from pieces of bytes: complete characters pass, bytes that are not UTF-8 become U+FFFD.
#pragma once

#include <string>
#include <string_view>

namespace se {

// Moves the complete characters of `bytes` to the returned text; what may still become a character stays in `bytes`.
// With `at_end` nothing stays. Follows Unicode 15, section 3.9, table 3-7: each maximal part of an ill-formed sequence
// becomes one U+FFFD, as in Python and browsers.
std::string take_characters(std::string &bytes, bool at_end);

// Whether `begun`, an unfinished character or nothing, and then `bytes` are well-formed as far as they go.
bool is_utf8_so_far(std::string_view begun, std::string_view bytes);

// All of `bytes` as valid UTF-8.
std::string to_utf8(std::string_view bytes);

}  // namespace se
