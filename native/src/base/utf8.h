// UTF-8 as text arrives in pieces of bytes: whole characters go on, bytes that are no UTF-8 become U+FFFD.
#pragma once

#include <string>
#include <string_view>

namespace se {

// Moves the part of `bytes` that can be told apart already to the returned text; what may still become a whole
// character stays in `bytes`. With `at_end` nothing stays. Follows Unicode 15, section 3.9, table 3-7: each maximal
// part of an ill-formed sequence becomes one U+FFFD, as in Python and browsers.
std::string take_characters(std::string &bytes, bool at_end);

// All of `bytes` as valid UTF-8.
std::string to_utf8(std::string_view bytes);

}  // namespace se
